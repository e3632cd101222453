#include "config/variables.h"

#include "base/text.h"
#include "config/known_parameters.h"
#include "config/main_cf.h"
#include "os/files.h"

#include <unistd.h>

#include <algorithm>
#include <optional>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t file_limit = 64 << 10;
constexpr std::string_view file_ending = "_FILE";

bool is_same_name(std::string_view in_variable, std::string_view name)
{
    return std::ranges::equal(in_variable, name,
                              [](char a, char b) { return a == b || (a == '_' && (b == '-' || b == '.')); });
}

// The parameter's name in a variable that is meant for this environment.
std::optional<std::string_view> parameter_in(std::string_view variable, std::string_view name, bool primary)
{
    constexpr std::string_view of_one = "BULKHEAD_ENV_";
    if (variable.starts_with(of_one)) {
        variable.remove_prefix(of_one.size());
        const auto end = variable.rfind("__");
        if (end == std::string_view::npos || !is_same_name(variable.substr(0, end), name))
            return std::nullopt;
        return variable.substr(end + 2);
    }
    for (const std::string_view prefix : {"POSTFIX_", "BULKHEAD_"})
        if (primary && variable.starts_with(prefix))
            return variable.substr(prefix.size());
    return std::nullopt;
}

// Parameters begin with a small letter or a digit; what else begins with our prefix is not one.
bool looks_like_parameter(std::string_view name)
{
    return !name.empty() && ((name[0] >= 'a' && name[0] <= 'z') || is_digit(name[0]));
}

std::string in_one_line(std::string_view value)
{
    std::string line(trim(value));
    std::ranges::replace_if(line, [](char c) { return c == '\n' || c == '\r' || c == '\0'; }, ' ');
    return line;
}

} // namespace

Result<std::vector<VariableSetting>> settings_from(std::span<const std::string> variables,
                                                   std::string_view name, bool primary)
{
    std::vector<VariableSetting> settings;
    for (const std::string& assignment : variables) {
        const auto equals = assignment.find('=');
        if (equals == std::string::npos)
            continue;
        const std::string_view variable = std::string_view(assignment).substr(0, equals);
        std::optional<std::string_view> parameter = parameter_in(variable, name, primary);
        if (!parameter || !looks_like_parameter(*parameter))
            continue;
        const bool is_file = parameter->ends_with(file_ending);
        if (is_file)
            parameter->remove_suffix(file_ending.size());
        if (!describe_parameter(*parameter))
            return Error{Fault::config,
                         fmt::format("${}: no parameter has the name {}", variable, *parameter)};
        std::string value = assignment.substr(equals + 1);
        if (is_file) {
            auto content = read_file(value, file_limit);
            if (!content)
                return Error{Fault::config, fmt::format("${}: {}", variable, content.error().context)};
            value = std::move(*content);
        }
        settings.push_back({std::string(variable), std::string(*parameter), in_one_line(value)});
    }
    // the last of one name counts: POSTFIX_, BULKHEAD_, BULKHEAD_ENV_
    std::ranges::sort(settings, [](const auto& a, const auto& b) {
        const auto rank = [](std::string_view variable) {
            return variable.starts_with("BULKHEAD_ENV_") ? 2 : variable.starts_with("BULKHEAD_") ? 1 : 0;
        };
        return std::pair(rank(a.variable), std::string_view(a.name)) <
               std::pair(rank(b.variable), std::string_view(b.name));
    });
    return settings;
}

Result<std::vector<VariableSetting>> apply_variables(MainCf& main, bool primary)
{
    std::vector<std::string> variables;
    for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        if (text.starts_with("BULKHEAD_") || text.starts_with("POSTFIX_"))
            variables.emplace_back(text);
    }
    if (variables.empty())
        return std::vector<VariableSetting>{};
    const Setting* const name = main.find("multi_instance_name");
    TRY(auto settings, settings_from(variables, name != nullptr ? name->value : "", primary));
    for (const VariableSetting& setting : settings)
        main.set(setting.name, {setting.value, "$" + setting.variable, 0});
    return settings;
}

} // namespace bulkhead
