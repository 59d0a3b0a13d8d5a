# The cuda device is a module of its own, loaded at run time, so that one binary serves machines with and without a GPU.
# Its files stand in core/device beside those of the library; they are taken out of the library here.
get_target_property(device_sources device SOURCES)
set(cuda_sources ${device_sources})
list(FILTER device_sources EXCLUDE REGEX "/cuda(_[a-z]+)?\\.c$")
list(FILTER cuda_sources INCLUDE REGEX "/cuda(_[a-z]+)?\\.c$")
set_target_properties(device PROPERTIES SOURCES "${device_sources}")

if(TIDEPOOL_CUDA)
  set(CMAKE_CUDA_ARCHITECTURES 80 90 CACHE STRING "Compute capabilities that kernels are compiled for")
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  add_library(tidepool-cuda MODULE ${cuda_sources})
  set_target_properties(tidepool-cuda PROPERTIES
    PREFIX ""
    LINKER_LANGUAGE CUDA
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  target_include_directories(tidepool-cuda PRIVATE core)
  # The runtime inside: the module then loads, and can say what is missing, where there is no CUDA at all. What it calls
  # of core/ it finds in the executable.
  target_link_libraries(tidepool-cuda PRIVATE CUDA::cudart_static Threads::Threads)
  add_dependencies(tidepool-cuda arrows_device)
endif()
