# The cuda device as a machine without a GPU can run it, for specs alone: the module's own sources, compiled against the
# stand-in of spec/standin instead of NVIDIA's headers and libraries (spec/standin/README.md). It stands in the folder
# standin/ of the build, beside links to the executables, so that the loader finds it there by its ordinary rule and
# nowhere else.
if(CMAKE_BUILD_TYPE STREQUAL "Release" OR TIDEPOOL_FUZZ OR TIDEPOOL_CUDA)
  return()
endif()

enable_language(CXX)
set(CMAKE_CXX_STANDARD 17)
set(standin ${CMAKE_BINARY_DIR}/standin)
file(GLOB standin_sources CONFIGURE_DEPENDS spec/standin/*.c spec/standin/*.cc)
file(GLOB standin_kernels CONFIGURE_DEPENDS core/exec/cuda/*.cu spec/standin/*.cu)
file(GLOB standin_operators CONFIGURE_DEPENDS core/exec/cuda/*.c)
# nvcc looks at them by its own lights in the cuda build; C's structs with a function of the same name shadow in C++.
# ThreadSanitizer does not know fences, and says so.
set_source_files_properties(${standin_kernels} PROPERTIES LANGUAGE CXX
  COMPILE_OPTIONS "-Wno-shadow;-Wno-extra;-Wno-sign-compare;-Wno-unused-function;-Wno-tsan")
add_library(standin-cuda MODULE ${cuda_sources} ${standin_operators} ${standin_kernels} ${standin_sources})
set_target_properties(standin-cuda PROPERTIES
  PREFIX ""
  OUTPUT_NAME tidepool-cuda
  LIBRARY_OUTPUT_DIRECTORY ${standin}
  LINK_DEPENDS ${CMAKE_SOURCE_DIR}/spec/standin/exports)
target_include_directories(standin-cuda PRIVATE spec/standin/include spec/standin core ${DNNL_INCLUDE})
# So that calls for memory can be told to fail, too.
set_property(SOURCE ${cuda_sources} ${standin_operators} APPEND PROPERTY COMPILE_DEFINITIONS
  malloc=standin_malloc calloc=standin_calloc realloc=standin_realloc)
if(TIDEPOOL_COVERAGE)
  set_property(SOURCE ${cuda_sources} ${standin_operators} APPEND PROPERTY COMPILE_OPTIONS --coverage -O0)
  target_link_options(standin-cuda PRIVATE --coverage)
endif()
# CMake's Debug is -O0 for C++.
target_compile_options(standin-cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:$<$<CONFIG:Debug>:-O1>>)
# Plain loops that are to be quick all the same.
set_source_files_properties(spec/standin/product.cc spec/standin/element.c PROPERTIES COMPILE_OPTIONS -O3)
# Threads of a kernel are ThreadSanitizer's to watch; who lets them take turns, not.
if(TIDEPOOL_SANITIZE STREQUAL "thread")
  set_source_files_properties(spec/standin/grid.c spec/standin/fiber.c PROPERTIES COMPILE_OPTIONS "-fno-sanitize=thread;-DSTANDIN_TSAN")
endif()
# Its own realpath and CUDA come before those of other libraries, and nobody else sees them. As CUDA it is never unloaded.
target_link_options(standin-cuda PRIVATE
  -Wl,-Bsymbolic -Wl,-z,nodelete -Wl,--version-script=${CMAKE_SOURCE_DIR}/spec/standin/exports)
target_link_libraries(standin-cuda PRIVATE ${DNNL_LIBRARY} PkgConfig::XXHASH Threads::Threads ${CMAKE_DL_LIBS} m)

foreach(program spec-runner tidepool)
  add_custom_command(OUTPUT ${standin}/${program}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${standin}/${program}
    COMMAND ${CMAKE_COMMAND} -E create_hardlink $<TARGET_FILE:${program}> ${standin}/${program}
    DEPENDS ${program} VERBATIM)
endforeach()
add_custom_target(standin ALL DEPENDS standin-cuda ${standin}/spec-runner ${standin}/tidepool)
