#include "plan.h"

#include "base/text.h"
#include "config/environment.h"
#include "config/service_ports.h"
#include "config/value_check.h"
#include "os/files.h"
#include "secrets.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::string_view search_path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

Error at(const Config& config, std::string_view name, Fault fault, std::string_view reason)
{
    return {fault, fmt::format("{}: {} = {}: {}", config.place(name), name, printable(config.get(name), true),
                               reason)};
}

Result<> find_users(const Config& config, EnvironmentPlan& plan)
{
    plan.owner_name = config.get("mail_owner");
    plan.owner_place = config.place("mail_owner");
    plan.rootless = ::geteuid() != 0;
    if (plan.rootless) {
        plan.owner = ::geteuid();
        plan.owner_group = plan.setgid_group = ::getegid();
        return {};
    }
    const passwd* const owner = ::getpwnam(config.get("mail_owner").c_str());
    if (owner == nullptr)
        return at(config, "mail_owner", Fault::not_found, "no such user");
    if (owner->pw_uid == 0)
        return at(config, "mail_owner", Fault::config, "must not be a user with the rights of root");
    plan.owner = owner->pw_uid;
    plan.owner_group = owner->pw_gid;
    const group* const setgid = ::getgrnam(config.get("setgid_group").c_str());
    if (setgid == nullptr)
        return at(config, "setgid_group", Fault::not_found, "no such group");
    if (setgid->gr_gid == plan.owner_group)
        return at(config, "setgid_group", Fault::config, "must not be the group of the mail owner");
    plan.setgid_group = setgid->gr_gid;
    return {};
}

Result<> find_folders(const Config& config, EnvironmentPlan& plan)
{
    for (const std::string_view name : {"queue_directory", "data_directory", "daemon_directory"})
        if (!config.get(name).starts_with('/'))
            return at(config, name, Fault::config, "must be an absolute path");
    plan.spool.root = config.queue_directory();
    auto queues = QueueSet::parse_hash_names(config.get("hash_queue_names"));
    if (!queues)
        return at(config, "hash_queue_names", Fault::config, queues.error().context);
    plan.spool.hash_queues = *queues;
    TRY(const std::int64_t depth, config.get_int("hash_queue_depth"));
    plan.spool.hash_depth = static_cast<unsigned>(std::clamp<std::int64_t>(depth, 1, 16));
    plan.data_directory = config.get("data_directory");
    plan.queue_place = config.place("queue_directory");
    plan.data_place = config.place("data_directory");
    return {};
}

// A limit of the kernel's for all workers together is kept by a control group; that of tasks also by
// the workers' user, so that it alone makes no group necessary.
Result<> find_limits(const Config& config, EnvironmentPlan& plan)
{
    TRY(const std::int64_t processes, config.get_int("environment_process_limit"));
    TRY(const std::int64_t memory, config.get_int("environment_memory_limit"));
    TRY(const std::int64_t weight, config.get_int("environment_cpu_weight"));
    TRY(const std::int64_t tasks, config.get_int("environment_task_limit"));
    plan.process_limit = static_cast<std::size_t>(processes);
    plan.limits = {static_cast<std::uint64_t>(memory), static_cast<std::uint64_t>(weight),
                   static_cast<std::uint64_t>(tasks)};
    plan.wants_limits = memory > 0 || weight > 0;
    plan.limits_place = config.place(memory > 0 ? "environment_memory_limit" : "environment_cpu_weight");
    return {};
}

// Workers see nothing of the master's own environment but what import_environment names.
std::vector<std::string> worker_environment(const Config& config, const std::string& directory)
{
    std::vector<std::string> result;
    const auto set = [&](std::string_view name, std::string_view value) {
        std::erase_if(result, [&](const std::string& have) {
            return have.size() > name.size() && have.starts_with(name) && have[name.size()] == '=';
        });
        result.push_back(fmt::format("{}={}", name, value));
    };
    result.emplace_back(search_path);
    for (const std::string& word : config.get_list("import_environment")) {
        const auto equals = word.find('=');
        if (equals != std::string::npos)
            set(word.substr(0, equals), word.substr(equals + 1));
        else if (const char* const value = std::getenv(word.c_str()))
            set(word, value);
    }
    set("MAIL_CONFIG", directory);
    return result;
}

ServicePlan::Kind kind_of(std::string_view program)
{
    if (program == "qmgr" || program == "nqmgr" || program == "oqmgr")
        return ServicePlan::Kind::qmgr;
    if (program == "pickup")
        return ServicePlan::Kind::pickup;
    if (program == "cleanup")
        return ServicePlan::Kind::cleanup;
    if (program == "frontdoor")
        return ServicePlan::Kind::frontdoor;
    return program == "postlogd" ? ServicePlan::Kind::postlogd : ServicePlan::Kind::other;
}

Result<> check_overrides(const ServiceEntry& entry, const Config& config)
{
    if (entry.overrides.empty())
        return {};
    Config own = config;
    for (const std::string& assignment : entry.overrides) {
        auto done = own.override(assignment);
        if (done)
            done = check_value(own, trim(std::string_view(assignment).substr(0, assignment.find('='))));
        if (!done)
            return Error{Fault::config,
                         fmt::format("{}: service {}: {}", entry.place(), entry.name, done.error().context)};
    }
    return {};
}

bool is_program(const std::string& path)
{
    struct stat st{};
    return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0;
}

// nullopt: the program is not installed, so the service is off.
Result<std::optional<ServicePlan>> plan_service(const ServiceEntry& entry, const Config& config)
{
    ServicePlan plan;
    plan.program = entry.command.starts_with('/')
                       ? entry.command
                       : fmt::format("{}/{}", config.get("daemon_directory"), entry.command);
    if (!is_program(plan.program))
        return std::optional<ServicePlan>{};
    plan.identity = entry.identity();
    plan.name = entry.name;
    plan.place = entry.place();
    plan.type = entry.type;
    plan.kind = kind_of(entry.command.substr(entry.command.rfind('/') + 1));
    plan.wakeup = entry.wakeup;
    plan.wakeup_only_if_used = entry.wakeup_only_if_used;
    plan.debugger = entry.debugger;
    plan.is_privileged = !entry.unprivileged;
    TRY(const std::int64_t common_limit, config.get_int("default_process_limit"));
    plan.limit = entry.process_limit ? *entry.process_limit
                                     : static_cast<int>(std::min<std::int64_t>(common_limit, 1 << 20));
    TRY_VOID(check_overrides(entry, config));
    TRY(plan.endpoints, plan_endpoints(entry, config));
    plan.options = {"-n", entry.name, "-t", std::string(service_type_name(entry.type))};
    if (entry.chroot && ::geteuid() == 0)
        plan.options.emplace_back("-c");
    if (entry.unprivileged)
        plan.options.emplace_back("-u");
    plan.options.emplace_back("-s");
    plan.options.push_back(std::to_string(plan.endpoints.size()));
    for (int i = 0; i < entry.verbosity; ++i)
        plan.options.emplace_back("-v");
    if (entry.debugger)
        plan.options.emplace_back("-D");
    for (const std::string& assignment : entry.overrides) {
        plan.arguments.emplace_back("-o");
        plan.arguments.push_back(assignment);
    }
    plan.arguments.insert(plan.arguments.end(), entry.plain_arguments.begin(), entry.plain_arguments.end());
    return std::optional{std::move(plan)};
}

// Services of Postfix whose work is no worker's own here: TLS sessions and idle connections
// are kept by those who use them, and postscreen asks lists of the DNS itself (docs/migrating.md).
bool is_done_elsewhere(std::string_view program)
{
    return program == "tlsmgr" || program == "scache" || program == "dnsblog" || program == "tlsproxy";
}

Result<> plan_services(const EnvironmentConfig& source, EnvironmentPlan& plan)
{
    std::map<std::string, std::string> taken; // endpoint key -> place
    const std::vector<std::string> disabled = source.config.get_list("master_service_disable");
    for (const ServiceEntry& entry : source.master.services) {
        if (is_disabled(entry, disabled))
            continue;
        TRY(auto service, plan_service(entry, source.config));
        if (!service && is_done_elsewhere(entry.command))
            continue;
        if (!service) {
            plan.warnings.push_back(fmt::format("{}: service {}: program {} is not in {}; the service is off",
                                                entry.place(), entry.name, entry.command,
                                                source.config.get("daemon_directory")));
            continue;
        }
        for (const Endpoint& endpoint : service->endpoints) {
            const auto [other, is_new] = taken.emplace(endpoint.key, entry.place());
            if (!is_new)
                return Error{Fault::config,
                             fmt::format("{}: service {}: {} is already used at {}", entry.place(),
                                         entry.name, endpoint.key, other->second)};
        }
        plan.services.push_back(std::move(*service));
    }
    return {};
}

void warn_of_writable(const std::string& path, std::vector<std::string>& warnings)
{
    struct stat st{};
    if (::stat(path.c_str(), &st) != 0)
        return;
    if (st.st_uid != 0 && st.st_uid != ::geteuid())
        warnings.push_back("not owned by root: " + path);
    if ((st.st_mode & 022) != 0)
        warnings.push_back("group or other writable: " + path);
}

} // namespace

std::vector<std::string> ServicePlan::command_line(bool stress) const
{
    std::vector<std::string> words{program.substr(program.rfind('/') + 1)};
    words.insert(words.end(), options.begin(), options.end());
    if (feels_stress()) {
        words.emplace_back("-o");
        words.emplace_back(stress ? "stress=yes" : "stress=");
    }
    words.insert(words.end(), arguments.begin(), arguments.end());
    return words;
}

Result<EnvironmentPlan> plan_environment(const std::string& config_directory, bool primary)
{
    auto source = load_environment(config_directory, primary);
    if (!source)
        return Error{Fault::config, source.error().context, source.error().number};
    const Config& config = source->config;
    EnvironmentPlan plan;
    plan.name = source->name;
    plan.group = source->group;
    plan.enabled = source->enabled;
    plan.config_directory = config_directory;
    plan.version = config.get("mail_version");
    plan.log = MaillogSettings::from(config);
    TRY(plan.main_cf, sealed_copy(source->main_cf_text));
    if (!plan.enabled)
        return plan;
    TRY_VOID(check_values(config));
    plan.warnings = source->warnings();
    TRY_VOID(find_users(config, plan));
    TRY_VOID(find_folders(config, plan));
    TRY(const std::int64_t throttle, config.get_seconds("service_throttle_time"));
    plan.throttle_time = Seconds(throttle);
    TRY_VOID(find_limits(config, plan));
    TRY(const std::int64_t drain, config.get_seconds("shutdown_drain_time"));
    plan.drain_time = Seconds(drain);
    plan.worker_environment = worker_environment(config, config_directory);
    if (primary) {
        plan.secondary_directories = secondary_directories(config);
        plan.secondaries_folder = config.get("multi_instance_folder");
    }
    if (const std::string format = config.get("maillog_format"); format != "classic" && format != "json")
        return at(config, "maillog_format", Fault::config, "must be classic or json");
    if (const std::string form = config.get("info_log_address_format");
        form != "external" && form != "internal")
        return at(config, "info_log_address_format", Fault::config, "must be external or internal");
    if (!parse_log_file_mode(plan.log.permissions))
        return at(config, "maillog_file_permissions", Fault::config, "must be 0600, 0640 or 0644");
    ServicePorts ports;
    const std::vector<std::string> bad_ports = ports.add_known(config.get("known_tcp_ports"));
    plan.warnings.insert(plan.warnings.end(), bad_ports.begin(), bad_ports.end());
    for (const std::string_view file : {"", "/main.cf", "/master.cf"})
        warn_of_writable(fmt::format("{}{}", config_directory, file), plan.warnings);
    const std::vector<std::string> open_secrets = warn_of_open_secrets(config);
    plan.warnings.insert(plan.warnings.end(), open_secrets.begin(), open_secrets.end());
    TRY_VOID(plan_services(*source, plan));
    return plan;
}

} // namespace bulkhead
