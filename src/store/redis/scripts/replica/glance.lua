-- `at`, the position, 1 if something is pending, the clock (us), last (us); or `outside`.
if not member then
  return { 'outside' }
end
return {
  'at', position, accepted and 1 or 0, digits(clock[1] * 1000000 + clock[2]), last,
}
