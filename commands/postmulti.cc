// postmulti: lists, makes, changes and removes environments, and runs commands in them.
//
//     postmulti -l [-aRvj] [-g GROUP] [-i NAME]
//     postmulti -p [-aRv] [-g GROUP] [-i NAME] VERB...
//     postmulti -x [-aRv] [-g GROUP] [-i NAME] COMMAND...
//     postmulti -e ACTION [-av] [-g GROUP] [-i NAME] [-I NAME] [-G GROUP] [NAME=VALUE...]
//
// The primary environment is that of $MAIL_CONFIG or of the installation.  What changes is told to
// its master if that runs: environments come and go there without a restart.
#include "base/text.h"
#include "command.h"
#include "config/install_paths.h"
#include "control_client.h"
#include "environment_command.h"
#include "instance_maker.h"
#include "log/log.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <span>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

struct Request {
    enum class Job { none, list, verb, command, edit } job = Job::none;
    std::string action; // of edit
    bool all = false;
    bool reverse = false;
    bool json = false;
    int verbosity = 0;
    std::optional<std::string> group;
    std::optional<std::string> name;
    std::optional<std::string> new_group;
    std::optional<std::string> new_name;
    std::span<char*> arguments;
};

int usage(std::FILE* to, int exit_code)
{
    fmt::print(
        to, "usage: postmulti -l [-ajRv] [-g group] [-i name]\n"
            "       postmulti -p [-aRv] [-g group] [-i name] verb...\n"
            "       postmulti -x [-aRv] [-g group] [-i name] command...\n"
            "       postmulti -e init|create|import|enable|disable|assign|deport|destroy\n"
            "                 [-av] [-g group] [-i name] [-I newname] [-G newgroup] [parameter=value...]\n");
    return exit_code;
}

int fail(std::string_view text)
{
    fmt::print(stderr, "postmulti: fatal: {}\n", printable(text, true));
    return 1;
}

void warn(std::string_view text)
{
    fmt::print(stderr, "postmulti: warning: {}\n", printable(text, true));
}

// ---- which environments

bool is_chosen(const Request& request, const Instance& instance)
{
    if (request.name)
        return instance.shown_name() == *request.name;
    if (request.group)
        return instance.group == *request.group || (*request.group == "-" && instance.group.empty());
    return true;
}

std::vector<Instance> choose(const Request& request, const std::vector<Instance>& present)
{
    std::vector<Instance> chosen;
    std::ranges::copy_if(present, std::back_inserter(chosen),
                         [&](const Instance& instance) { return is_chosen(request, instance); });
    if (request.reverse)
        std::ranges::reverse(chosen);
    return chosen;
}

int list(const Request& request, const std::vector<Instance>& chosen)
{
    int status = 0;
    for (const Instance& instance : chosen) {
        if (!instance.problem.empty()) {
            warn(instance.problem);
            status = 1;
        }
        fmt::print("{}", request.json ? instance_json(instance) : instance_line(instance));
    }
    return status;
}

// ---- commands

int wait_for(pid_t child)
{
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

template <typename Run> int in_child(const Run& run)
{
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(run());
    return child < 0 ? 1 : wait_for(child);
}

int run_command(const Request& request, const std::vector<Instance>& chosen)
{
    int status = 0;
    for (const Instance& instance : chosen) {
        if (!instance.config) {
            warn(instance.problem);
            status = 1;
            continue;
        }
        const int code =
            in_child([&] { return become_environment_command(*instance.config, request.arguments); });
        status = code == 0 ? status : 1;
    }
    return status;
}

struct VerbKind {
    bool starts = false;
    bool stops = false;
    bool controls = false;
};

VerbKind kind_of(const Config& primary, std::string_view verb)
{
    const auto has = [&](const std::vector<std::string>& words) {
        return std::ranges::find(words, verb) != words.end();
    };
    return {.starts = has(primary.get_list("postmulti_start_commands")),
            .stops = has(primary.get_list("postmulti_stop_commands")),
            .controls = has(primary.get_list("postmulti_control_commands"))};
}

bool is_running(const Instance& instance)
{
    return instance.config && running_master(instance.config->queue_directory()).has_value();
}

int run_bulkhead(const Request& request, const Instance& primary, const Instance& instance,
                 std::string_view instead)
{
    const std::string program = install_paths().command_directory + "/postfix";
    std::vector<std::string> words{program, "-c", instance.directory};
    for (int i = 0; i < request.verbosity; ++i)
        words.emplace_back("-v");
    if (instead.empty())
        words.insert(words.end(), request.arguments.begin(), request.arguments.end());
    else
        words.emplace_back(instead);
    return in_child([&] {
        ::setenv("MAIL_CONFIG", primary.directory.c_str(), 1);
        std::vector<char*> pointers;
        for (std::string& word : words)
            pointers.push_back(word.data());
        pointers.push_back(nullptr);
        ::execv(pointers[0], pointers.data());
        return 127;
    });
}

// What the primary's master does for all of them is not asked again of each: it starts, and
// reloads, every enabled environment.
int run_verb(const Request& request, const std::vector<Instance>& present, std::vector<Instance> chosen)
{
    const Instance& primary = present.front();
    const VerbKind kind = kind_of(*primary.config, request.arguments[0]);
    if (kind.stops)
        std::ranges::reverse(chosen);
    bool primary_did_it = false;
    int status = 0;
    for (const Instance& instance : chosen) {
        const bool active = instance.primary || instance.enabled;
        if ((kind.controls && !active) || (kind.stops && !request.name && !is_running(instance)))
            continue;
        if (primary_did_it && !instance.primary && active && (kind.controls || is_running(instance)))
            continue;
        const int code = run_bulkhead(request, primary, instance, kind.starts && !active ? "check" : "");
        status = code == 0 ? status : 1;
        if (instance.primary && (kind.starts || kind.controls) && code == 0)
            primary_did_it = true;
    }
    return status;
}

// ---- changes

// The running master looks again at one folder.
void tell_master(const Instance& primary, const std::string& directory)
{
    const std::string queue = primary.config->queue_directory();
    if (!running_master(queue))
        return;
    if (const auto answer = ask_master(queue, "refresh " + directory); !answer)
        warn(answer.error().context);
}

int report(const Result<>& done)
{
    return done ? 0 : fail(done.error().context);
}

int init(const Request&, const std::vector<Instance>& present)
{
    return report(set_parameters(present.front().directory, {{"multi_instance_enable", "yes"}}));
}

// NAME=VALUE words into their places.
Result<NewInstance> parse_wishes(const Request& request)
{
    NewInstance wanted;
    wanted.name = request.new_name.value_or("");
    wanted.group = request.new_group && *request.new_group != "-" ? *request.new_group : "";
    for (const std::string_view word : request.arguments) {
        TRY(auto assignment, parse_assignment(word));
        auto& [name, value] = assignment;
        if (name == "config_directory")
            wanted.config_directory = value;
        else if (name == "queue_directory")
            wanted.queue_directory = value;
        else if (name == "data_directory")
            wanted.data_directory = value;
        else if (name == "mail_owner")
            wanted.mail_owner = value;
        else
            wanted.settings.push_back(std::move(assignment));
    }
    return wanted;
}

int create(const Request& request, const std::vector<Instance>& present)
{
    auto wanted = parse_wishes(request);
    if (!wanted)
        return fail(wanted.error().context);
    if (wanted->name.empty() && !wanted->config_directory.empty())
        wanted->name = wanted->config_directory.substr(wanted->config_directory.rfind('/') + 1);
    if (wanted->name.empty())
        return fail("create needs a name (-I) or a config_directory");
    const auto made = create_instance(present, std::move(*wanted));
    if (!made)
        return fail(made.error().context);
    tell_master(present.front(), *made);
    return 0;
}

const Instance* find_by_name(const std::vector<Instance>& present, std::string_view name)
{
    const auto found = std::ranges::find(present, name, &Instance::shown_name);
    return found == present.end() ? nullptr : &*found;
}

int import(const Request& request, const std::vector<Instance>& present)
{
    const auto wanted = parse_wishes(request);
    if (!wanted)
        return fail(wanted.error().context);
    const std::string& directory = wanted->config_directory;
    if (!directory.starts_with('/'))
        return fail("import needs config_directory=, an absolute path");
    for (const Instance& other : present)
        if (other.directory == directory)
            return fail(fmt::format("{} is environment {} already", directory, other.shown_name()));
    const Instance before = read_instance(directory, false);
    if (!before.config)
        return fail(before.problem);
    const std::string name = request.new_name.value_or(before.name);
    if (const std::string problem = name_problem(name); !problem.empty())
        return fail(fmt::format("{}: {}", name, problem));
    if (const Instance* const other = find_by_name(present, name))
        return fail(fmt::format("the name {} is already used by environment {} ({})", name,
                                other->shown_name(), other->directory));
    std::vector<std::pair<std::string, std::string>> settings{{"multi_instance_name", name}};
    if (request.new_group)
        settings.emplace_back("multi_instance_group", wanted->group);
    auto done = set_parameters(directory, settings);
    if (done)
        done = add_to_list(present.front().directory, directory);
    if (done)
        tell_master(present.front(), directory);
    return report(done);
}

int deport(const std::vector<Instance>& present, const Instance& instance)
{
    auto done = check_at_rest(instance);
    if (done)
        done = take_from_list(present.front().directory, instance.directory);
    if (done)
        tell_master(present.front(), instance.directory);
    return report(done);
}

int destroy(const std::vector<Instance>& present, const Instance& instance)
{
    const auto done = destroy_instance(present, instance);
    if (done)
        tell_master(present.front(), instance.directory);
    return report(done);
}

int enable(const std::vector<Instance>& present, const Instance& instance, bool on)
{
    const auto done = set_parameters(instance.directory, {{"multi_instance_enable", on ? "yes" : "no"}});
    if (done && !instance.primary)
        tell_master(present.front(), instance.directory);
    return report(done);
}

int assign(const Request& request, const std::vector<Instance>& present, const Instance& instance)
{
    std::vector<std::pair<std::string, std::string>> settings;
    if (request.new_name) {
        const Instance* const other = find_by_name(present, *request.new_name);
        if (other != nullptr && other->directory != instance.directory)
            return fail(fmt::format("the name {} is already used by environment {} ({})", *request.new_name,
                                    other->shown_name(), other->directory));
        const std::string problem = *request.new_name == "-" ? "" : name_problem(*request.new_name);
        if (!problem.empty() || (*request.new_name == "-" && !instance.primary))
            return fail(fmt::format("{}: {}", *request.new_name,
                                    problem.empty() ? "only the primary environment has no name" : problem));
        settings.emplace_back("multi_instance_name", *request.new_name == "-" ? "" : *request.new_name);
    }
    if (request.new_group)
        settings.emplace_back("multi_instance_group", *request.new_group == "-" ? "" : *request.new_group);
    if (settings.empty())
        return fail("assign needs a new name (-I) or a new group (-G)");
    const auto done = set_parameters(instance.directory, settings);
    if (done && is_running(instance))
        if (const auto answer = ask_master(instance.config->queue_directory(), "reload"); !answer)
            warn(answer.error().context);
    return report(done);
}

int edit(const Request& request, const std::vector<Instance>& present)
{
    if (request.action == "init")
        return init(request, present);
    if (request.action == "create")
        return create(request, present);
    if (request.action == "import")
        return import(request, present);
    static constexpr std::array actions{"enable", "disable", "assign", "deport", "destroy"};
    if (std::ranges::find(actions, request.action) == actions.end())
        return fail(fmt::format("unknown action: -e {}", request.action));
    if (!request.name && !request.group && !request.all)
        return fail(fmt::format("-e {} needs -i, -g or -a", request.action));
    if (!request.name && request.action != "enable" && request.action != "disable" &&
        !(request.action == "assign" && !request.new_name))
        return fail(fmt::format("-e {} is for one environment: name it with -i", request.action));
    int status = 0;
    for (const Instance& instance : choose(request, present)) {
        int code = 0;
        if (request.action == "deport")
            code = deport(present, instance);
        else if (request.action == "destroy")
            code = destroy(present, instance);
        else if (request.action == "assign")
            code = assign(request, present, instance);
        else
            code = enable(present, instance, request.action == "enable");
        status = code == 0 ? status : 1;
    }
    return status;
}

// ---- the command line

std::optional<Request> parse(int argc, char** argv)
{
    Request request;
    const auto set_job = [&](Request::Job job) {
        const bool first = request.job == Request::Job::none;
        request.job = job;
        return first;
    };
    bool good = true;
    for (int option = ::getopt(argc, argv, "+ae:g:i:jlpvxG:I:R"); option != -1;
         option = ::getopt(argc, argv, "+ae:g:i:jlpvxG:I:R")) {
        switch (option) {
        case 'a':
            request.all = true;
            break;
        case 'e':
            good = set_job(Request::Job::edit) && good;
            request.action = ::optarg;
            break;
        case 'g':
            request.group = ::optarg;
            break;
        case 'i':
            request.name = ::optarg;
            break;
        case 'j':
            request.json = true;
            break;
        case 'l':
            good = set_job(Request::Job::list) && good;
            break;
        case 'p':
            good = set_job(Request::Job::verb) && good;
            break;
        case 'v':
            ++request.verbosity;
            break;
        case 'x':
            good = set_job(Request::Job::command) && good;
            break;
        case 'G':
            request.new_group = ::optarg;
            break;
        case 'I':
            request.new_name = ::optarg;
            break;
        case 'R':
            request.reverse = true;
            break;
        default:
            return std::nullopt;
        }
    }
    request.arguments = std::span(argv + ::optind, argv + argc);
    const int choices = request.all + request.group.has_value() + request.name.has_value();
    const bool needs_words = request.job == Request::Job::verb || request.job == Request::Job::command;
    good = good && request.job != Request::Job::none && choices <= 1;
    good = good && (!needs_words || !request.arguments.empty());
    good = good && (request.job != Request::Job::list || request.arguments.empty());
    good = good && (!request.json || request.job == Request::Job::list);
    return good ? std::optional(request) : std::nullopt;
}

std::string primary_directory()
{
    std::string directory = default_config_directory();
    while (directory.size() > 1 && directory.ends_with('/'))
        directory.pop_back();
    return directory;
}

int run(int argc, char** argv)
{
    if (argc == 2 && std::string_view(argv[1]) == "--help")
        return usage(stdout, 0);
    const Command command("postmulti");
    const auto request = parse(argc, argv);
    if (!request)
        return usage(stderr, 1);
    const auto present = list_instances(primary_directory());
    if (!present)
        return fail(present.error().context);
    if (request->job == Request::Job::edit)
        return edit(*request, *present);
    const std::vector<Instance> chosen = choose(*request, *present);
    if (chosen.empty())
        return fail("no matching environment");
    if (request->job == Request::Job::list)
        return list(*request, chosen);
    return request->job == Request::Job::verb ? run_verb(*request, *present, chosen)
                                              : run_command(*request, chosen);
}

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
