# Every folder has the same shape: a library takes all *.cc of its folder; a
# program takes all of them too, main.cc apart, so that its unit tests can link
# the rest.  Unit tests of a folder live in tests/unit/<folder>/.

# bh_library(NAME [DEPS...]): static library bh_NAME from the current folder.
function(bh_library name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  if(sources)
    add_library(bh_${name} STATIC ${sources})
    target_include_directories(bh_${name} PUBLIC ${PROJECT_SOURCE_DIR}/libcommon)
    target_link_libraries(bh_${name} PUBLIC ${ARGN})
  else()
    add_library(bh_${name} INTERFACE)
    target_include_directories(bh_${name} INTERFACE ${PROJECT_SOURCE_DIR}/libcommon)
    target_link_libraries(bh_${name} INTERFACE ${ARGN})
  endif()
endfunction()

# For each installed program.
function(bh_sanitizer_defaults target)
  if(BULKHEAD_SANITIZE MATCHES "address")
    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/sanitizer_defaults.cc)
  endif()
endfunction()

# bh_program(NAME [DEPS...]): daemon NAME, its parts in the library NAME_parts.  A worker takes of
# libbulkhead.so what is in it, and only the rest from static libraries: it comes first.
function(bh_program name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/main.cc)
    return()
  endif()
  if(sources)
    add_library(${name}_parts STATIC ${sources})
    target_include_directories(${name}_parts PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(${name}_parts PUBLIC ${ARGN})
  else()
    add_library(${name}_parts INTERFACE)
    target_include_directories(${name}_parts INTERFACE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(${name}_parts INTERFACE ${ARGN})
  endif()
  add_executable(bh_program_${name} main.cc)
  set_target_properties(bh_program_${name} PROPERTIES OUTPUT_NAME ${name}
                        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${BULKHEAD_DAEMON_DIR})
  if(BULKHEAD_SHARED AND "bh_worker" IN_LIST ARGN)
    target_link_libraries(bh_program_${name} PRIVATE bulkhead)
    set_target_properties(bh_program_${name} PROPERTIES INSTALL_RPATH "$ORIGIN" BUILD_WITH_INSTALL_RPATH ON)
  endif()
  target_link_libraries(bh_program_${name} PRIVATE ${name}_parts)
  bh_sanitizer_defaults(bh_program_${name})
  install(TARGETS bh_program_${name} DESTINATION ${BULKHEAD_DAEMON_DIR})
endfunction()
