std = "luajit"
max_line_length = 120
cache = false
files["spec"] = { std = "+busted" }
files["library"] = { ignore = { "211", "212", "221", "241", "431" } }
