# The addon: the only target that sees Node's headers. cmake-js says where they are (CMAKE_JS_INC); a plain cmake finds them
# where npm puts packages, beside this package's own or among its own.
find_path(COPPICE_NODE_HEADERS node_api.h HINTS ${CMAKE_JS_INC}
  ${CMAKE_CURRENT_SOURCE_DIR}/node_modules/node-api-headers/include
  ${CMAKE_CURRENT_SOURCE_DIR}/../node-api-headers/include)
find_path(COPPICE_NAPI_HEADERS napi.h HINTS ${CMAKE_JS_INC}
  ${CMAKE_CURRENT_SOURCE_DIR}/node_modules/node-addon-api
  ${CMAKE_CURRENT_SOURCE_DIR}/../node-addon-api)
if(COPPICE_NODE_HEADERS AND COPPICE_NAPI_HEADERS)
  file(READ ${CMAKE_CURRENT_SOURCE_DIR}/package.json coppice_package)
  string(JSON coppice_version GET "${coppice_package}" version)
  add_library(coppice MODULE ${native_binding_sources})
  set_target_properties(coppice PROPERTIES PREFIX "" SUFFIX ".node")
  target_include_directories(coppice SYSTEM PRIVATE ${COPPICE_NODE_HEADERS} ${COPPICE_NAPI_HEADERS})
  target_compile_definitions(coppice PRIVATE NAPI_VERSION=9 NAPI_CPP_EXCEPTIONS
    NODE_ADDON_API_DISABLE_DEPRECATED COPPICE_VERSION="${coppice_version}")
  target_link_libraries(coppice PRIVATE coppice_native ${CMAKE_JS_LIB})
  if(APPLE)
    target_link_options(coppice PRIVATE -undefined dynamic_lookup)
  endif()
else()
  message(STATUS "coppice: no Node-API headers found (npm install brings them): the addon is not built")
endif()
