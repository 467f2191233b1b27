# One static library a module. `include/nomiqon/<name>/` is reached through a directory of its own in the build tree,
# so that a module can include only what it links: the dependency rule of the architecture is held by the compiler.

add_library(nomiqon_flags INTERFACE)
target_compile_options(nomiqon_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast
    -Woverloaded-virtual -Wimplicit-fallthrough -Werror -fno-omit-frame-pointer)
target_compile_definitions(nomiqon_flags INTERFACE
    BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_COROUTINE SPDLOG_FMT_EXTERNAL)
if(NOMIQON_SANITIZE)
    target_compile_options(nomiqon_flags INTERFACE -fsanitize=${NOMIQON_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(nomiqon_flags INTERFACE -fsanitize=${NOMIQON_SANITIZE})
else()
    target_compile_options(nomiqon_flags INTERFACE $<$<CONFIG:Release>:-fstack-protector-strong>)
    target_compile_definitions(nomiqon_flags INTERFACE $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
endif()
target_link_options(nomiqon_flags INTERFACE -fuse-ld=lld-19 -Wl,-z,relro,-z,now)

# nomiqon_module(<name> [LINKS target...]): a library `nomiqon_<name>` of src/<name>/*.cpp.
function(nomiqon_module name)
    cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
    set(root ${PROJECT_BINARY_DIR}/modules/${name})
    file(MAKE_DIRECTORY ${root}/nomiqon)
    file(CREATE_LINK ${PROJECT_SOURCE_DIR}/include/nomiqon/${name} ${root}/nomiqon/${name} SYMBOLIC)
    add_library(nomiqon_${name} STATIC ${sources})
    target_include_directories(nomiqon_${name} PUBLIC ${root} PRIVATE ${PROJECT_SOURCE_DIR}/src/${name})
    target_link_libraries(nomiqon_${name} PUBLIC ${ARG_LINKS} PRIVATE nomiqon_flags)
endfunction()
