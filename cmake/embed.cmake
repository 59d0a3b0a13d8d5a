# What is built into the executables besides C.
find_program(LUAJIT_PROGRAM luajit REQUIRED)

# One object with the bytecode of a Lua file, under the symbol that LuaJIT's own loader looks up, so that require finds
# the module in the executable.
function(tidepool_embed_module name file objects_variable)
  set(object ${CMAKE_BINARY_DIR}/embedded/${name}.o)
  # -g keeps line numbers for tracebacks.
  add_custom_command(OUTPUT ${object}
    COMMAND ${LUAJIT_PROGRAM} -bg -t o -n ${name} ${file} ${object}
    DEPENDS ${file} VERBATIM)
  set(${objects_variable} ${${objects_variable}} ${object} PARENT_SCOPE)
endfunction()

# tidepool_embed_lua(VARIABLE FOLDER name=file...): the objects of every Lua module under FOLDER, and of the single modules
# named, to be given to executables as sources.
function(tidepool_embed_lua variable folder)
  set(root ${CMAKE_SOURCE_DIR}/${folder})
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${root} ${root}/*.lua)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/embedded)
  set(objects)
  foreach(file ${files})
    string(REGEX REPLACE "(/init)?\\.lua$" "" name ${file})
    string(REPLACE "/" "." name ${name})
    tidepool_embed_module(${name} ${root}/${file} objects)
  endforeach()
  foreach(pair ${ARGN})
    string(REGEX MATCH "^([^=]+)=(.+)$" matched ${pair})
    tidepool_embed_module(${CMAKE_MATCH_1} ${CMAKE_MATCH_2} objects)
  endforeach()
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  set(${variable} ${objects} PARENT_SCOPE)
endfunction()

# tidepool_embed_text(TARGET file...): adds the table of core/base/embedded.h with these files, paths from the source
# folder, to TARGET.
function(tidepool_embed_text target)
  set(source ${CMAKE_BINARY_DIR}/embedded_files.c)
  set(data "")
  set(table "")
  set(number 0)
  foreach(file ${ARGN})
    string(APPEND data
      "__asm__(\".pushsection .rodata\\n.balign 16\\ntext${number}: .incbin \\\"${CMAKE_SOURCE_DIR}/${file}\\\"\\n\"\n"
      "        \".byte 0\\n.popsection\");\n"
      "extern const char text${number}[] __attribute__((visibility(\"hidden\")));\n")
    file(SIZE ${CMAKE_SOURCE_DIR}/${file} length)
    string(APPEND table "\t{ \"${file}\", text${number}, ${length} },\n")
    math(EXPR number "${number} + 1")
  endforeach()
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
    "#include \"base/embedded.h\"\n${data}const struct embedded embedded_files[] = {\n${table}\t{ 0 },\n};\n")
  list(TRANSFORM ARGN PREPEND ${CMAKE_SOURCE_DIR}/ OUTPUT_VARIABLE paths)
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS "${paths}")
  # The lengths are taken when CMake runs.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${paths})
  target_sources(${target} PRIVATE ${source})
endfunction()
