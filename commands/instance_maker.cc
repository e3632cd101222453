#include "instance_maker.h"

#include "config/file_edit.h"
#include "control_client.h"
#include "os/files.h"
#include "spool/paths.h"
#include "spool_environment.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

namespace fs = std::filesystem;

constexpr std::size_t longest_user_name = 32;
constexpr std::string_view user_comment = "Bulkhead environment"; // by which our own users are known
constexpr int rest_patience = 5'000;                              // milliseconds until workers have left
constexpr int poll_step = 20;

// Steps back, the last one first, unless all went well.
class Undo
{
public:
    Undo() = default;
    ~Undo()
    {
        for (auto step = steps_.rbegin(); step != steps_.rend(); ++step)
            (*step)();
    }
    Undo(const Undo&) = delete;

    void add(std::function<void()> step) { steps_.push_back(std::move(step)); }
    void all_is_well() { steps_.clear(); }

private:
    std::vector<std::function<void()>> steps_;
};

// A program of the system, without a shell.
Result<> run_program(std::vector<std::string> words)
{
    std::vector<char*> pointers;
    for (std::string& word : words)
        pointers.push_back(word.data());
    pointers.push_back(nullptr);
    pid_t child = -1;
    const int failed = ::posix_spawnp(&child, pointers[0], nullptr, nullptr, pointers.data(), ::environ);
    if (failed != 0)
        return system_error(words[0], failed);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return Error{Fault::io, fmt::format("{} {} has failed", words[0], words.back())};
    return {};
}

std::string beside(const std::string& folder, const std::string& name)
{
    return (fs::path(folder).parent_path() / name).string();
}

void fill_in(const Config& primary, NewInstance& wanted)
{
    const auto or_beside = [&](std::string& path, const std::string& folder) {
        if (path.empty())
            path = beside(folder, wanted.name);
        while (path.size() > 1 && path.ends_with('/'))
            path.pop_back();
    };
    or_beside(wanted.config_directory, primary.config_directory());
    or_beside(wanted.queue_directory, primary.queue_directory());
    or_beside(wanted.data_directory, primary.get("data_directory"));
}

// "bh-out" for postfix-out.
std::string derived_user(std::string_view name)
{
    std::string user = "bh-";
    for (const char c : name.substr(name.find('-') + 1))
        user += c == '.' ? '_' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return user;
}

Result<> check_free(const std::vector<Instance>& present, const NewInstance& wanted)
{
    const auto taken = [](const std::string& what, const Instance& by) {
        return Error{Fault::refused, fmt::format("{} is already used by environment {} ({})", what,
                                                 by.shown_name(), by.directory)};
    };
    for (const Instance& other : present) {
        if (other.name == wanted.name)
            return taken("the name " + wanted.name, other);
        if (other.directory == wanted.config_directory)
            return taken("config_directory " + wanted.config_directory, other);
        if (!other.config)
            continue;
        if (other.config->queue_directory() == wanted.queue_directory)
            return taken("queue_directory " + wanted.queue_directory, other);
        if (other.config->get("data_directory") == wanted.data_directory)
            return taken("data_directory " + wanted.data_directory, other);
        if (other.config->get("mail_owner") == wanted.mail_owner)
            return taken("mail_owner " + wanted.mail_owner, other);
    }
    for (const std::string& path : {wanted.config_directory, wanted.queue_directory, wanted.data_directory}) {
        std::error_code unreadable;
        if (!path.starts_with('/'))
            return Error{Fault::refused, path + " is not an absolute path"};
        if (fs::exists(path, unreadable) && !(fs::is_directory(path) && fs::is_empty(path)))
            return Error{Fault::refused, path + " exists already and is not an empty folder"};
    }
    return {};
}

Result<> make_user(NewInstance& wanted, Undo& undo)
{
    if (!wanted.mail_owner.empty() || ::geteuid() != 0)
        return {};
    wanted.mail_owner = derived_user(wanted.name);
    if (wanted.mail_owner.size() > longest_user_name)
        return Error{Fault::refused, fmt::format("the user name {} is too long: choose one with mail_owner=",
                                                 wanted.mail_owner)};
    if (::getpwnam(wanted.mail_owner.c_str()) != nullptr)
        return Error{Fault::refused,
                     fmt::format("user {} exists already: choose this or another one with mail_owner=",
                                 wanted.mail_owner)};
    undo.add([user = wanted.mail_owner] {
        if (::getpwnam(user.c_str()) != nullptr)
            (void)run_program({"userdel", user});
    });
    return run_program({"useradd", "--system", "--user-group", "--no-create-home", "--home-dir",
                        wanted.data_directory, "--shell", "/usr/sbin/nologin", "--comment",
                        fmt::format("{} {}", user_comment, wanted.name), wanted.mail_owner});
}

// The primary's main.cf with what must differ.  Its log name goes: each environment has its own.
Result<std::string> new_main_cf(const Instance& primary, const NewInstance& wanted)
{
    TRY(const std::string text, read_file(primary.directory + "/main.cf", MainCf::size_limit));
    std::vector<FileEdit> edits;
    for (const std::string_view name :
         {"multi_instance_directories", "multi_instance_wrapper", "syslog_name"})
        edits.push_back({std::string(name), FileEdit::Kind::remove, {}});
    std::vector<std::pair<std::string, std::string>> settings{
        {"multi_instance_name", wanted.name},      {"multi_instance_group", wanted.group},
        {"multi_instance_enable", "no"},           {"queue_directory", wanted.queue_directory},
        {"data_directory", wanted.data_directory}, {"master_service_disable", "inet"},
        {"authorized_submit_users", ""},
    };
    if (!wanted.mail_owner.empty())
        settings.emplace_back("mail_owner", wanted.mail_owner);
    settings.insert(settings.end(), wanted.settings.begin(), wanted.settings.end());
    for (const auto& [name, value] : settings)
        edits.push_back({name, FileEdit::Kind::replace, value.empty() ? name + " =" : name + " = " + value});
    return edit_text(text, main_cf_key, edits);
}

Result<> write_file(const std::string& path, std::string_view text)
{
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!fd)
        return system_error("create " + path);
    TRY_VOID(write_all(fd.get(), text));
    return ::fsync(fd.get()) == 0 ? Result<>() : system_error("write " + path);
}

// Written beside its place: it appears there whole.
Result<> make_configuration(const Instance& primary, const NewInstance& wanted, Undo& undo)
{
    TRY(const std::string main_cf, new_main_cf(primary, wanted));
    TRY(const std::string master_cf, read_file(primary.directory + "/master.cf", MainCf::size_limit));
    const std::string unfinished = fmt::format("{}.new-{}", wanted.config_directory, ::getpid());
    undo.add([unfinished] {
        std::error_code gone;
        fs::remove_all(unfinished, gone);
    });
    if (::mkdir(unfinished.c_str(), 0755) != 0)
        return system_error("create " + unfinished);
    TRY_VOID(write_file(unfinished + "/main.cf", main_cf));
    TRY_VOID(write_file(unfinished + "/master.cf", master_cf));
    if (::rename(unfinished.c_str(), wanted.config_directory.c_str()) != 0)
        return system_error("create " + wanted.config_directory);
    undo.add([folder = wanted.config_directory] {
        std::error_code gone;
        fs::remove_all(folder, gone);
    });
    return {};
}

Result<> make_folders(const Config& config, const NewInstance& wanted, Undo& undo)
{
    const passwd* const owner = ::getpwnam(config.get("mail_owner").c_str());
    const group* const setgid = ::getgrnam(config.get("setgid_group").c_str());
    const bool rootless = ::geteuid() != 0;
    if (!rootless && (owner == nullptr || setgid == nullptr))
        return Error{Fault::not_found, fmt::format("no such user or group: {}, {}", config.get("mail_owner"),
                                                   config.get("setgid_group"))};
    const SpoolOwners owners = rootless ? SpoolOwners{::geteuid(), ::getegid(), ::getegid()}
                                        : SpoolOwners{owner->pw_uid, owner->pw_gid, setgid->gr_gid};
    for (const std::string& path : {wanted.queue_directory, wanted.data_directory}) {
        std::error_code unreadable;
        if (fs::symlink_status(path, unreadable).type() == fs::file_type::not_found)
            undo.add([path] {
                std::error_code gone;
                fs::remove_all(path, gone);
            });
    }
    SpoolLayout layout;
    layout.root = wanted.queue_directory;
    TRY(layout.hash_queues, QueueSet::parse_hash_names(config.get("hash_queue_names")));
    TRY_VOID(ensure_spool(layout, owners));
    if (::mkdir(wanted.data_directory.c_str(), 0700) != 0 && errno != EEXIST)
        return system_error("create " + wanted.data_directory);
    if (!rootless && ::lchown(wanted.data_directory.c_str(), owners.mail_owner, owners.mail_group) != 0)
        return system_error("change the owner of " + wanted.data_directory);
    return {};
}

Result<> check_empty(const Instance& instance)
{
    const auto environment = open_environment(instance.directory);
    if (!environment)
        return {}; // no spool, no mail
    TRY(const QueueCounts counts, count_messages(environment->spool));
    for (const Queue queue : message_queues)
        if (counts.of(queue) > 0)
            return Error{Fault::refused, fmt::format("the {} queue of environment {} is not empty",
                                                     queue_name(queue), instance.shown_name())};
    return {};
}

void remove_user(const std::string& name)
{
    const passwd* const user = ::getpwnam(name.c_str());
    if (user != nullptr && std::string_view(user->pw_gecos).starts_with(user_comment))
        (void)run_program({"userdel", name});
}

} // namespace

Result<std::string> create_instance(const std::vector<Instance>& present, NewInstance wanted)
{
    const Instance& primary = present.front();
    if (const std::string problem = name_problem(wanted.name); !problem.empty())
        return Error{Fault::refused, fmt::format("{}: {}", wanted.name, problem)};
    fill_in(*primary.config, wanted);
    TRY_VOID(check_free(present, wanted));
    Undo undo;
    TRY_VOID(make_user(wanted, undo));
    TRY_VOID(make_configuration(primary, wanted, undo));
    TRY(const Config config, Config::load(wanted.config_directory, {}, "postmulti"));
    TRY_VOID(make_folders(config, wanted, undo));
    TRY_VOID(add_to_list(primary.directory, wanted.config_directory));
    undo.all_is_well();
    return wanted.config_directory;
}

Result<> check_at_rest(const Instance& instance)
{
    if (instance.primary)
        return Error{Fault::refused, "this is not possible with the primary environment"};
    if (instance.enabled)
        return Error{Fault::refused,
                     fmt::format("environment {} is enabled: disable it first", instance.shown_name())};
    if (!instance.config)
        return {};
    const std::string queue = instance.config->queue_directory();
    for (int waited = 0; running_master(queue); waited += poll_step) {
        if (waited >= rest_patience)
            return Error{Fault::refused,
                         fmt::format("environment {} is running: stop it first", instance.shown_name())};
        ::usleep(poll_step * 1000);
    }
    return {};
}

Result<> destroy_instance(const std::vector<Instance>& present, const Instance& instance)
{
    TRY_VOID(check_at_rest(instance));
    if (!instance.config)
        return Error{Fault::config, instance.problem};
    TRY_VOID(check_empty(instance));
    TRY_VOID(take_from_list(present.front().directory, instance.directory));
    std::error_code gone;
    for (const std::string& path :
         {instance.config->queue_directory(), instance.config->get("data_directory")})
        if (path.starts_with('/') && path.size() > 1)
            fs::remove_all(path, gone);
    for (const char* const file : {"/main.cf", "/master.cf"})
        fs::remove(instance.directory + file, gone);
    fs::remove(instance.directory, gone); // other files in it are not ours
    remove_user(instance.config->get("mail_owner"));
    return {};
}

} // namespace bulkhead
