#include "instance_list.h"

#include "base/text.h"
#include "config/environment.h"
#include "config/file_edit.h"
#include "config/values.h"
#include "queue_listing.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t longest_name = 64;

// Whole logical line of the new list.
Result<> edit_list(const std::string& primary_directory,
                   const std::function<void(std::vector<std::string>&)>& change)
{
    const std::string path = primary_directory + "/main.cf";
    return rewrite_file(path, MainCf::size_limit, [&](std::string_view text) -> Result<std::string> {
        TRY(const MainCf main, MainCf::parse(text, path));
        const Setting* const setting = main.find("multi_instance_directories");
        std::vector<std::string> directories = parse_list(setting != nullptr ? setting->value : "");
        change(directories);
        std::string line = "multi_instance_directories =";
        for (const std::string& directory : directories)
            line += " " + directory;
        return edit_text(text, main_cf_key,
                         {{"multi_instance_directories", FileEdit::Kind::replace, std::move(line)}});
    });
}

} // namespace

Instance read_instance(const std::string& directory, bool primary)
{
    Instance instance;
    instance.directory = directory;
    instance.primary = primary;
    auto config = Config::load(directory, {}, "postmulti");
    if (!config) {
        instance.problem = config.error().context;
        return instance;
    }
    instance.name = config->get("multi_instance_name");
    instance.group = config->get("multi_instance_group");
    const auto enabled = config->get_bool("multi_instance_enable");
    if (!enabled)
        instance.problem = enabled.error().context;
    else if (!primary && instance.name.empty())
        instance.problem = directory + "/main.cf: multi_instance_name is not set";
    instance.enabled = enabled && *enabled;
    instance.config = std::move(*config);
    return instance;
}

Result<std::vector<Instance>> list_instances(const std::string& primary_directory)
{
    std::vector<Instance> list;
    list.push_back(read_instance(primary_directory, true));
    if (!list.front().config)
        return Error{Fault::config, list.front().problem};
    for (const std::string& directory : secondary_directories(*list.front().config))
        list.push_back(read_instance(directory, false));
    return list;
}

std::string instance_line(const Instance& instance)
{
    return fmt::format("{:<15} {:<15} {:<9} {}\n", instance.shown_name(),
                       instance.group.empty() ? "-" : instance.group, instance.enabled ? "y" : "n",
                       instance.directory);
}

std::string instance_json(const Instance& instance)
{
    const auto text_or_null = [](const std::string& text) {
        return text.empty() ? std::string("null") : json_string(text);
    };
    return fmt::format(R"({{"name": {}, "group": {}, "enabled": {}, "config_directory": {}}})"
                       "\n",
                       text_or_null(instance.name), text_or_null(instance.group), instance.enabled,
                       json_string(instance.directory));
}

std::string name_problem(std::string_view name)
{
    if (name.size() > longest_name)
        return "the name is too long";
    if (!name.starts_with("postfix-") && !name.starts_with("bulkhead-"))
        return "the name must begin with \"postfix-\" or \"bulkhead-\"";
    if (name.ends_with('-'))
        return "the name must not end with \"-\"";
    const auto is_plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '_' || c == '.';
    };
    return std::ranges::all_of(name, is_plain) ? "" : "the name may hold letters, digits, - _ . only";
}

Result<> set_parameters(const std::string& directory,
                        const std::vector<std::pair<std::string, std::string>>& settings)
{
    return rewrite_file(directory + "/main.cf", MainCf::size_limit,
                        [&](std::string_view text) -> Result<std::string> {
                            std::vector<FileEdit> edits;
                            for (const auto& [name, value] : settings)
                                edits.push_back({name, FileEdit::Kind::replace,
                                                 value.empty() ? name + " =" : name + " = " + value});
                            return edit_text(text, main_cf_key, edits);
                        });
}

Result<> add_to_list(const std::string& primary_directory, const std::string& directory)
{
    return edit_list(primary_directory, [&](std::vector<std::string>& directories) {
        if (std::ranges::find(directories, directory) == directories.end())
            directories.push_back(directory);
    });
}

Result<> take_from_list(const std::string& primary_directory, const std::string& directory)
{
    return edit_list(primary_directory,
                     [&](std::vector<std::string>& directories) { std::erase(directories, directory); });
}

} // namespace bulkhead
