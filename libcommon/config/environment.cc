#include "config/environment.h"

#include "base/text.h"
#include "config/file_edit.h"
#include "config/variables.h"
#include "os/files.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

namespace bulkhead
{

static constexpr std::size_t longest_name = 64;

Result<EnvironmentConfig> load_environment(const std::string& config_directory, bool primary)
{
    EnvironmentConfig environment;
    environment.config_directory = config_directory;
    const std::string path = config_directory + "/main.cf";
    TRY(environment.main_cf_text, read_file(path, MainCf::size_limit));
    TRY(MainCf main, MainCf::parse(environment.main_cf_text, path));
    TRY(const auto variables, apply_variables(main, primary));
    for (const VariableSetting& setting : variables) // for the workers, who do not see ours
        append_lines(environment.main_cf_text, fmt::format("{} = {}\n", setting.name, setting.value));
    TRY(environment.config, Config::from(std::move(main), config_directory, {}, "master"));
    const Config& config = environment.config;
    TRY(environment.master, MasterCf::read(config_directory + "/master.cf", config.compatibility_level()));

    environment.name = config.get("multi_instance_name");
    environment.group = config.get("multi_instance_group");
    if (primary) {
        if (environment.name.empty())
            environment.name = "-";
        return environment;
    }
    if (environment.name.empty())
        return Error{Fault::config,
                     fmt::format("{}/main.cf: multi_instance_name is not set", config_directory)};
    if (environment.name.size() > longest_name || environment.name == "-" ||
        environment.name.find_first_of("/ \t\\:=\"'") != std::string::npos ||
        environment.name != printable(environment.name))
        return Error{Fault::config,
                     fmt::format("{}: multi_instance_name: bad value \"{}\"",
                                 config.place("multi_instance_name"), printable(environment.name))};
    TRY(environment.enabled, config.get_bool("multi_instance_enable"));
    return environment;
}

std::vector<std::string> EnvironmentConfig::warnings() const
{
    std::vector<std::string> lines = master.warnings;
    for (const UnknownName& unknown : config.unknown_names(master.services))
        lines.push_back(fmt::format("{}: unused parameter: {}={}", unknown.setting.place(), unknown.name,
                                    printable(unknown.setting.value, true)));
    for (const UnknownName& idle : config.unimplemented_names(master.services))
        lines.push_back(fmt::format("{}: {} is known but not implemented yet; it has no effect",
                                    idle.setting.place(), idle.name));
    return lines;
}

std::vector<std::string> environment_folders(const std::string& folder)
{
    std::vector<std::string> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error))
        if (!entry.path().filename().native().starts_with('.') && entry.is_directory(error))
            found.push_back(entry.path().native());
    std::ranges::sort(found);
    return found;
}

std::vector<std::string> secondary_directories(const Config& primary)
{
    std::vector<std::string> all = primary.get_list("multi_instance_directories");
    const std::string folder = primary.get("multi_instance_folder");
    if (folder.empty())
        return all;
    for (std::string& directory : environment_folders(folder)) {
        const bool is_listed = std::ranges::find(all, directory) != all.end();
        if (!is_listed && ::access((directory + "/main.cf").c_str(), F_OK) == 0)
            all.push_back(std::move(directory));
    }
    return all;
}

} // namespace bulkhead
