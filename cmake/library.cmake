# tidepool_library(NAME USES lib... LINK lib...): the static library of core/NAME. Every source file in the folder
# belongs to it. An #include "other/x.h" of a folder that is not in USES fails the build (cmake/arrows.sh).
function(tidepool_library name)
  cmake_parse_arguments(ARG "" "" "USES;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/${name}/*.c)
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/core)
  target_link_libraries(${name} PUBLIC ${ARG_USES} ${ARG_LINK})
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/arrows)
  set(checked ${CMAKE_BINARY_DIR}/arrows/${name})
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/${name}/*.[ch] ${CMAKE_SOURCE_DIR}/core/${name}/*.cu
    ${CMAKE_SOURCE_DIR}/core/${name}/*.cuh)
  add_custom_command(OUTPUT ${checked}
    COMMAND ${CMAKE_SOURCE_DIR}/cmake/arrows.sh ${CMAKE_SOURCE_DIR}/core/${name} ${name} ${ARG_USES}
    COMMAND ${CMAKE_COMMAND} -E touch ${checked}
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/arrows.sh VERBATIM
    COMMENT "What core/${name} includes is what it may")
  add_custom_target(arrows_${name} DEPENDS ${checked})
  add_dependencies(${name} arrows_${name})
endfunction()
