-- True in the builds with AddressSanitizer or ThreadSanitizer, which are slow: not where time is the subject.
for line in io.lines "/proc/self/maps" do
  if line:find "lib[at]san%.so" then return true end
end
return false
