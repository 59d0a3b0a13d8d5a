-- A node with four V100 of 32 GB, 25 GB of each for models: what "Torpor" (USENIX ATC 2025) reports of its machines
-- and models at batch 1. Times in ms, rates in bytes/s.
--
-- resident_ms is what a run takes with the model on the device. swapped_ms and peer_ms are what the paper measured, to
-- be held against what the simulator makes of bytes, rates and the latency of a copy (docs/simulator.md). native_ms and
-- native_bytes are for the baseline that gives every function a process with a context of its own.
local GB = 1e9

-- Effective rate of copies from a peer: one NVLink, or two.
local one, two = 22.5 * GB, 45 * GB

return {
  name = "v100",
  node = {
    devices = 4,
    devices_per_switch = 2,
    memory = 25 * GB,
    -- Of one device alone; two devices of a switch that copy at once share somewhat more than that: BERT beside
    -- ResNet-152 took 240 instead of 149 ms, ResNet-152 beside BERT 43 instead of 29.
    link_rate = 9.5 * GB,
    switch_rate = 11.8 * GB,
    copy_latency_ms = 1.2,
    -- [to][from]
    peers = {
      { 0, one, one, two },
      { one, 0, two, one },
      { one, two, 0, two },
      { two, one, two, 0 },
    },
  },
  -- What a native function takes of a device of 32 GB, so that 18 or 19 fit.
  native_bytes = 1.65 * GB,
  native_memory = 31.5 * GB,
  deadline_ms = 80,
  percentile = 0.98,
  -- For clusters.
  cluster_deadline_ms = 150,
  models = {
    { name = "densenet169", bytes = 57e6, resident_ms = 25, swapped_ms = 27, peer_ms = 26, native_ms = 30 },
    { name = "densenet201", bytes = 80e6, resident_ms = 28, swapped_ms = 30, peer_ms = 30, native_ms = 36 },
    { name = "inception3", bytes = 109e6, resident_ms = 14, swapped_ms = 17, peer_ms = 16, native_ms = 19 },
    { name = "efficientnet-b0", bytes = 21e6, resident_ms = 12, swapped_ms = 13, peer_ms = 13, native_ms = 17 },
    { name = "resnet50", bytes = 102e6, resident_ms = 9, swapped_ms = 13, peer_ms = 11, native_ms = 11 },
    { name = "resnet101", bytes = 178e6, resident_ms = 14, swapped_ms = 22, peer_ms = 16, native_ms = 20 },
    { name = "resnet152", bytes = 241e6, resident_ms = 17, swapped_ms = 25, peer_ms = 20, native_ms = 25 },
    { name = "bert", bytes = 1340e6, resident_ms = 43, swapped_ms = 144, peer_ms = 45, native_ms = 42,
      deadline_ms = 200, cluster_deadline_ms = 250 },
  },
}
