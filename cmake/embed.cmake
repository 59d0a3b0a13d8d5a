# tidepool_embed_lua(TARGET FOLDER): an object library with the bytecode of every Lua module under FOLDER, under the
# symbols that LuaJIT's own loader looks up, so that require finds them in the executable.
find_program(LUAJIT_PROGRAM luajit REQUIRED)
function(tidepool_embed_lua target folder)
  set(root ${CMAKE_SOURCE_DIR}/${folder})
  file(GLOB_RECURSE modules CONFIGURE_DEPENDS RELATIVE ${root} ${root}/*.lua)
  set(objects)
  foreach(module ${modules})
    string(REGEX REPLACE "(/init)?\\.lua$" "" name ${module})
    string(REPLACE "/" "." name ${name})
    set(object ${CMAKE_BINARY_DIR}/embedded/${module}.o)
    get_filename_component(object_folder ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${object_folder})
    # -g keeps line numbers for tracebacks.
    add_custom_command(OUTPUT ${object}
      COMMAND ${LUAJIT_PROGRAM} -bg -t o -n ${name} ${root}/${module} ${object}
      DEPENDS ${root}/${module} VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  add_library(${target} OBJECT ${objects} ${CMAKE_SOURCE_DIR}/cmake/empty.c)
endfunction()
