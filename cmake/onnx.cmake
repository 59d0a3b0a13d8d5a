# The C of core/model/onnx.proto, made by protoc-c in the build folder and compiled into the model library. Warnings are
# off for the generated file alone.
find_program(PROTOC_C protoc-c REQUIRED)
set(generated ${CMAKE_BINARY_DIR}/generated)
set(schema ${CMAKE_SOURCE_DIR}/core/model/onnx.proto)
file(MAKE_DIRECTORY ${generated})
add_custom_command(OUTPUT ${generated}/onnx.pb-c.c ${generated}/onnx.pb-c.h
  COMMAND ${PROTOC_C} --c_out=${generated} --proto_path=${CMAKE_SOURCE_DIR}/core/model ${schema}
  DEPENDS ${schema} VERBATIM)
set_source_files_properties(${generated}/onnx.pb-c.c PROPERTIES COMPILE_OPTIONS -w)
target_sources(model PRIVATE ${generated}/onnx.pb-c.c ${generated}/onnx.pb-c.h)
target_include_directories(model PRIVATE ${generated})
