# The cuda device is a module of its own, loaded at run time, so that one binary serves machines with and without a GPU. Its
# files stand in core/device beside those of the library, from which they are taken out here, and in core/exec/cuda.
get_target_property(device_sources device SOURCES)
set(cuda_sources ${device_sources})
list(FILTER device_sources EXCLUDE REGEX "/cuda(_[a-z]+)?\\.c$")
list(FILTER cuda_sources INCLUDE REGEX "/cuda(_[a-z]+)?\\.c$")
set_target_properties(device PROPERTIES SOURCES "${device_sources}")
file(GLOB cuda_operators CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/exec/cuda/*.c)
file(GLOB cuda_kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/exec/cuda/*.cu)
list(APPEND cuda_sources ${cuda_operators} ${cuda_kernels})

if(TIDEPOOL_CUDA)
  # 7.5 is the oldest that CUDA 13 compiles for. What is newer than 9.0 runs its code, compiled by the driver.
  set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 90 CACHE STRING "Compute capabilities that kernels are compiled for")
  set(CMAKE_CUDA_STANDARD 17)
  enable_language(CUDA)
  # FindCUDAToolkit of CMake 3.25, which is Debian's, fails with CUDA 13. The toolkit's own come first, then CMAKE_PREFIX_PATH's.
  get_filename_component(cuda_root ${CMAKE_CUDA_COMPILER} REALPATH)
  get_filename_component(cuda_root ${cuda_root}/../.. ABSOLUTE)
  set(cuda_places ${CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES} ${CMAKE_CUDA_HOST_IMPLICIT_LINK_DIRECTORIES} ${cuda_root}/lib64
    ${cuda_root}/lib)
  foreach(library cudnn cublasLt)
    string(TOUPPER ${library} name)
    find_library(${name}_LIBRARY ${library} REQUIRED HINTS ${cuda_places})
    find_path(${name}_INCLUDE ${library}.h REQUIRED HINTS ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES} ${cuda_root}/include)
  endforeach()
  # Where a last bit decides which element is taken, that is decided as on the host: no product is fused into a sum.
  foreach(kernel resample suppress)
    set_property(SOURCE ${CMAKE_SOURCE_DIR}/core/exec/cuda/${kernel}.cu APPEND PROPERTY COMPILE_OPTIONS --fmad=false)
  endforeach()
  add_library(tidepool-cuda MODULE ${cuda_sources})
  set_target_properties(tidepool-cuda PROPERTIES
    PREFIX ""
    LINKER_LANGUAGE CUDA
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  set_property(TARGET tidepool-cuda PROPERTY CUDA_RUNTIME_LIBRARY Static)
  target_include_directories(tidepool-cuda PRIVATE core)
  target_include_directories(tidepool-cuda SYSTEM PRIVATE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES} ${CUDNN_INCLUDE}
    ${CUBLASLT_INCLUDE})
  if(TIDEPOOL_WERROR)
    target_compile_options(tidepool-cuda PRIVATE
      "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Wall,-Werror>")
  endif()
  # The runtime inside: the module then loads, and can say what is missing, where there is no CUDA at all. What it calls
  # of core/ it finds in the executable.
  target_link_libraries(tidepool-cuda PRIVATE ${CUBLASLT_LIBRARY} ${CUDNN_LIBRARY} OpenMP::OpenMP_C Threads::Threads
    PkgConfig::XXHASH ${CMAKE_DL_LIBS} rt)
  # Where they were found, they are to be found: the toolkit's folder need not be one of the loader's.
  foreach(library ${CUDNN_LIBRARY} ${CUBLASLT_LIBRARY})
    get_filename_component(folder ${library} DIRECTORY)
    target_link_options(tidepool-cuda PRIVATE "LINKER:-rpath,${folder}")
  endforeach()
  add_dependencies(tidepool-cuda arrows_device arrows_exec)

  # What ptxas says of every kernel, for one architecture: the module's build is quiet. cmake/test.sh reads it.
  set(spills)
  foreach(kernel ${cuda_kernels})
    list(APPEND spills COMMAND ${CMAKE_CUDA_COMPILER} -std=c++17 -O3 -I${CMAKE_SOURCE_DIR}/core
      -I${CUDNN_INCLUDE} -I${CUBLASLT_INCLUDE}
      -gencode arch=compute_90,code=sm_90 -Xptxas -v -c ${kernel} -o ${CMAKE_BINARY_DIR}/spills.o)
  endforeach()
  add_custom_target(spills ${spills} VERBATIM)
endif()
