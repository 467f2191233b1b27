# Puts the files of migrations/ into the binary, so that it needs none at run time.
#
# nomiqon_embed_migrations(<target>): adds the generated source to it. This file is also the script that generates it:
# cmake -DOUTPUT=<file> -DDIRECTORY=<migrations> -P EmbedMigrations.cmake

function(nomiqon_write_migrations directory output)
    file(GLOB files ${directory}/*.sql)
    list(SORT files)
    set(arrays "")
    set(rows "")
    foreach(file IN LISTS files)
        get_filename_component(name ${file} NAME_WE)
        if(NOT name MATCHES "^[0-9][0-9][0-9][0-9]_[a-z0-9_]+$" OR NOT file MATCHES "/${name}\\.sql$")
            message(FATAL_ERROR "migrations/: ${file} is not named like 0001_what_it_does.sql")
        endif()
        # Digits without the leading zeros, which would make the number octal.
        string(REGEX REPLACE "^0*([0-9]+)_.*$" "\\1" number ${name})
        # Bytes, not a string literal: no length limit, and nothing in the SQL can end it.
        file(READ ${file} bytes HEX)
        string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
        if(bytes STREQUAL "")
            message(FATAL_ERROR "migrations/: ${file} is empty")
        endif()
        string(APPEND arrays "constexpr char sql_${name}[] = {${bytes}};\n")
        string(APPEND rows "    {.number = ${number}, .name = \"${name}\", .sql = {sql_${name}, sizeof sql_${name}}},\n")
    endforeach()
    set(text "// Generated from migrations/ by cmake/EmbedMigrations.cmake.\n#include \"nomiqon/ledger/migrations.h\"\n\n")
    if(rows STREQUAL "")
        string(APPEND text "std::span<const nomiqon::Migration> nomiqon::embedded_migrations() { return {}; }\n")
    else()
        string(APPEND text "namespace {\n${arrays}constexpr nomiqon::Migration all[] = {\n${rows}};\n}  // namespace\n\n"
            "std::span<const nomiqon::Migration> nomiqon::embedded_migrations() { return all; }\n")
    endif()
    file(WRITE ${output} "${text}")
endfunction()

function(nomiqon_embed_migrations target)
    set(directory ${PROJECT_SOURCE_DIR}/migrations)
    set(script ${PROJECT_SOURCE_DIR}/cmake/EmbedMigrations.cmake)
    set(output ${PROJECT_BINARY_DIR}/generated/embedded_migrations.cpp)
    file(GLOB files CONFIGURE_DEPENDS ${directory}/*.sql)
    add_custom_command(OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DDIRECTORY=${directory} -P ${script}
        DEPENDS ${files} ${script}
        COMMENT "Embedding migrations/" VERBATIM)
    target_sources(${target} PRIVATE ${output})
endfunction()

if(CMAKE_SCRIPT_MODE_FILE)
    nomiqon_write_migrations(${DIRECTORY} ${OUTPUT})
endif()
