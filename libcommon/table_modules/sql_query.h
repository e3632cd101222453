// The query of an SQL table: `query`, or put together from the parameters of the old interface.
#pragma once

#include "table/server_module.h"

#include <fmt/format.h>

namespace bulkhead
{

// function_parameter: pgsql's select_function, empty for those that have none.
inline ServerQuestion sql_query(ServerSettings& settings, std::string_view function_parameter = {})
{
    if (settings.has("query"))
        return {"query", settings.text("query")};
    if (!function_parameter.empty() && settings.has(function_parameter))
        return {std::string(function_parameter),
                fmt::format("SELECT {}('%s')", settings.text(function_parameter))};
    for (const char* needed : {"select_field", "table", "where_field"})
        if (settings.text(needed).empty()) {
            settings.complain("query", "is missing");
            break;
        }
    return {"query", fmt::format("SELECT {} FROM {} WHERE {} = '%s' {}", settings.text("select_field"),
                                 settings.text("table"), settings.text("where_field"),
                                 settings.text("additional_conditions"))};
}

} // namespace bulkhead
