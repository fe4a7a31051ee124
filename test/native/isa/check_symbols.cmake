# Fails when an object compiled for an instruction set defines a symbol that the linker might use for everybody: a weak symbol
# (an inline function, a template) outside the set's own namespace. See native/cpu/simd.h.
#
#   cmake -DNM=nm -DSET=avx512 -DOBJECTS="a.o;b.o" -P check_symbols.cmake
string(LENGTH ${SET} length)
set(namespace "${length}${SET}")  # as it stands in a mangled name
foreach(object ${OBJECTS})
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]+" lines "${symbols}")
  foreach(line ${lines})
    if(line MATCHES " [WVuw] (.+)$")
      set(symbol ${CMAKE_MATCH_1})
      if(NOT symbol MATCHES "${namespace}|^DW\\.ref\\.")
        message(SEND_ERROR "${object} defines ${symbol}, which is outside namespace ${SET}")
      endif()
    endif()
  endforeach()
endforeach()
