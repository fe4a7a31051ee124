# CUDA, where a toolkit is found: kernels/*.cu join coppice_native, which then defines COPPICE_CUDA. Without nvcc the CPU build
# is complete. -DCOPPICE_CUDA=ON makes a missing nvcc an error, OFF never looks for one.
set(COPPICE_CUDA AUTO CACHE STRING "build the CUDA backend: AUTO, ON, OFF")
if(NOT COPPICE_CUDA STREQUAL "OFF")
  find_program(COPPICE_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
  if(COPPICE_NVCC)
    # Set before the language is enabled, or CMake picks its own. Real code for A100 and H100, PTX for whatever comes later.
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 80-virtual)
    endif()
    set(CMAKE_CUDA_COMPILER ${COPPICE_NVCC})
    set(CMAKE_CUDA_RUNTIME_LIBRARY Static)  # so that the addon loads on a machine without a driver
    enable_language(CUDA)
    # CMake 3.25 does not know this compiler's C++20 flag.
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    endif()
    file(GLOB coppice_cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/*.cu)
    add_library(coppice_cuda OBJECT ${coppice_cuda_sources})
    target_include_directories(coppice_cuda PRIVATE native .)
    set_target_properties(coppice_cuda PROPERTIES CUDA_STANDARD 20 CUDA_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
    # As for the CPU, no bit rests on the compiler's taste: a multiplication and an addition are one fma where the source says so,
    # and denormals are zero.
    target_compile_options(coppice_cuda PRIVATE --fmad=false --ftz=true --Werror=all-warnings -Xcompiler=-Wall,-Wextra)
    # coppice_native only links these objects, but CMake asks it for the language's properties, and it was made before they had values.
    set_target_properties(coppice_native PROPERTIES CUDA_ARCHITECTURES "${CMAKE_CUDA_ARCHITECTURES}" CUDA_STANDARD 20)
    target_sources(coppice_native PRIVATE $<TARGET_OBJECTS:coppice_cuda>)
    target_compile_definitions(coppice_native PUBLIC COPPICE_CUDA)
    get_filename_component(coppice_cuda_bin ${COPPICE_NVCC} REALPATH)
    get_filename_component(coppice_cuda_root ${coppice_cuda_bin}/../.. ABSOLUTE)
    find_library(COPPICE_CUDART cudart_static HINTS
      ${coppice_cuda_root}/lib64 ${coppice_cuda_root}/targets/x86_64-linux/lib /usr/local/cuda/lib64 REQUIRED)
    target_link_libraries(coppice_native PUBLIC ${COPPICE_CUDART} ${CMAKE_DL_LIBS} rt)
    message(STATUS "coppice: CUDA by ${COPPICE_NVCC}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
  elseif(COPPICE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "COPPICE_CUDA=ON, but no nvcc was found in CUDA_HOME, CUDA_PATH, /usr/local/cuda or PATH")
  endif()
endif()
