std = "luajit"
max_line_length = 120
cache = false
files["spec"] = { std = "+busted" }
