# tidepool_library(NAME USES lib... LINK lib...): the static library of core/NAME. Every source file in the folder
# belongs to it. An #include "other/x.h" of a folder that is not in USES fails the build (cmake/arrows.sh).
function(tidepool_library name)
  cmake_parse_arguments(ARG "" "" "USES;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/${name}/*.c)
  if(NOT sources)
    file(WRITE ${CMAKE_BINARY_DIR}/${name}_empty.c "extern int tidepool_${name}_is_empty;\n")
    set(sources ${CMAKE_BINARY_DIR}/${name}_empty.c)
  endif()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/core)
  target_link_libraries(${name} PUBLIC ${ARG_USES} ${ARG_LINK})
  add_custom_target(arrows_${name}
    COMMAND ${CMAKE_SOURCE_DIR}/cmake/arrows.sh ${CMAKE_SOURCE_DIR}/core/${name} ${name} ${ARG_USES})
  add_dependencies(${name} arrows_${name})
endfunction()
