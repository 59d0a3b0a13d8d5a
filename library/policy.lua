---@meta
-- What a scheduling policy sees and is asked, for the Lua language server; policies/README.md has the contract.
-- spec/library_spec.lua checks that it says what there is. Times are ns of the node's clock, durations ns, memory is in
-- bytes.

---A model that functions use.
---@class ModelView
---@field id integer
---@field version integer Another number whenever its times or what devices have of it have changed.
---@field group_count integer Groups of the packed image.
---@field bytes number Of the packed image.
---@field run_ns number Measured, averaged; 0 until measured.
---@field load_ns number Of a load of the whole model from the host; 0 until measured.
---@field shared_load_ns number The same beside others of its switch that load; 0 until measured.
---@field row_ns number What each row after the first adds to a run; 0 until measured.
---@field prefix_groups integer Groups that must stay for the others' copy to hide behind the run.
---@field prefix_bytes number
---@field used_at number Last time that a job used it.
---@field jobs integer Waiting or running ones that need it.
---@field name ffi.cdata* node.name(view) is a string.

---A deployed function.
---@class FunctionView
---@field id integer
---@field slo_percentile number 0 … 1.
---@field slo_ns number 0: no objective.
---@field requests number Finished ones.
---@field in_time number Of these.
---@field mean_ns number
---@field p50_ns number Half of their latencies are no longer; at most 16 requests old.
---@field p98_ns number
---@field p99_ns number
---@field refused number Of these: not taken on; not in the times above.
---@field name ffi.cdata*

---A device.
---@class DeviceView
---@field id integer
---@field switch_id integer -1: none shared.
---@field idle integer 1 while no job runs on it.
---@field loading integer 1 while a copy to it is under way.
---@field prefetching integer Id of the model that is being prefetched to it; -1: none.
---@field capacity number
---@field free_bytes number
---@field link_rate number Bytes a second from the host.
---@field peer_rate number Bytes a second from a peer.
---@field load_rate number Bytes a second that copies from the host were seen to make.
---@field busy_until number When the running job is expected to end; 0 when idle or not known.
---@field busy_ns number Time so far with a job.
---@field copying_ns number Time so far with a copy to it under way.
---@field idle_ns number Time so far with neither.

---A job: what is to run next is chosen among these.
---@class JobView
---@field id number Rises with every job.
---@field function FunctionView
---@field models ffi.cdata* model_count of ModelView, from 0.
---@field model_count integer
---@field slot integer Small, from 1; used again when the job is done.
---@field bound_device integer Device that it must run on; -1: any.
---@field priority integer
---@field attempt integer
---@field requests integer That it serves, one unless its function's are batched; may rise while it waits.
---@field rows integer Of its inputs, where requests are batched; else 1.
---@field arrived_at number
---@field deadline number 0: none.

---How much of a model is on a device.
---@class ResidencyView
---@field groups integer On the device or on their way: a prefix of the model.
---@field pinned integer Of these, how many cannot be trimmed now.
---@field arrived integer Of these, how many have arrived and can be copied on.
---@field bytes number

---What new() is given: the node as the policy sees it. It lives as long as the policy.
---@class PolicyNode
---@field now number When the callback was called.
---@field devices DeviceView[] In order of id, so that device `id` is at [id + 1].
---@field models table<integer, ModelView> By id, from 0, with holes: use pairs.
---@field functions table<integer, FunctionView> By id, from 0, with holes: use pairs.
---@field RESIDENT integer A source: the model is there already.
---@field HOST integer A source: what is missing comes from the host.
---@field PEER integer A source: what a peer has comes from there, the rest from the host.
---@field BOTH integer A source: what the peer has is shared between both ways.
---@field RELAY integer A source: what the peer has not comes over its link too.
---@field OK integer An outcome.
---@field ERROR integer An outcome.
---@field CANCELLED integer An outcome.
local PolicyNode = {}

---How much of a model is on a device.
---@param model ModelView
---@param device DeviceView
---@return ResidencyView
function PolicyNode.residency(model, device) end

---node.residency(model, device).groups, cheaper.
---@param model ModelView
---@param device DeviceView
---@return integer
function PolicyNode.groups(model, device) end

---node.residency(model, device).pinned, cheaper.
---@param model ModelView
---@param device DeviceView
---@return integer
function PolicyNode.pinned(model, device) end

---node.residency(model, device).arrived, cheaper.
---@param model ModelView
---@param device DeviceView
---@return integer
function PolicyNode.arrived(model, device) end

---Bytes a second of copies to the device from that peer; 0 when they are not connected, or it is not known.
---@param device DeviceView
---@param peer DeviceView
---@return number
function PolicyNode.peer_rate(device, peer) end

---Fill a list with the models that have something on the device; what lies behind them in it is old.
---@param device DeviceView
---@param into ModelView[]
---@return integer count
function PolicyNode.resident(device, into) end

---The name of a model or function.
---@param view ModelView|FunctionView
---@return string?
function PolicyNode.name(view) end

---What a policy's file returns.
---@class PolicyFile
---@field name string
---@field new fun(node: PolicyNode, config: table): Policy

---@class Policy
local Policy = {}

---A job waits now.
---@param job JobView
function Policy:submit(job) end

---What runs next? Asked again until the answer is nil.
---@return JobView? job
---@return DeviceView|integer? device
---@return integer? source node.RESIDENT, node.HOST, node.PEER, node.BOTH or node.RELAY.
---@return DeviceView|integer? peer
function Policy:dispatch() end

---At least so many bytes more must come free there.
---@param device DeviceView
---@param bytes number
---@return (ModelView|integer)[]? pairs Of a model and the groups to keep of it.
---@return integer? count
function Policy:evict(device, bytes) end

---A device that runs a job could be brought a model meanwhile; optional.
---@param device DeviceView
---@return ModelView|integer|nil
function Policy:prefetch(device) end

---A job has ended, waiting or running.
---@param job JobView
---@param outcome integer node.OK, node.ERROR or node.CANCELLED.
function Policy:done(job, outcome) end

---A dispatched job waits again; submit when missing.
---@param job JobView
function Policy:requeue(job) end

---Before submit; optional.
---@param job JobView
---@return boolean
---@return number? retry_after_ms
function Policy:admit(job) end

---About every 10 ms while there are jobs; optional.
---@param now number
function Policy:tick(now) end

---Another policy takes over; optional.
---@return table
function Policy:snapshot() end

---This policy takes over from one with snapshot; optional.
---@param state table
function Policy:restore(state) end
