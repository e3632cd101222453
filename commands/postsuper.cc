// postsuper: the administrator's tool on the queue.  For root; works with the rights of
// the mail owner, whose files they are.
#include "base/text.h"
#include "command.h"
#include "control_client.h"
#include "frame_client.h"
#include "queue_actions.h"
#include "spool/commit_log.h"
#include "spool_snapshot.h"

#include <cstdio>
#include <iostream>
#include <vector>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::string_view usage_text =
    "usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] "
    "[-f queue_id (expire and/or un-hold)] [-h queue_id (hold)] [-H queue_id (un-hold)] "
    "[-p (purge temporary files)] [-r queue_id (requeue)] [-s (structure fix)] "
    "[-S (redundant structure fix)] [-v (verbose)] [queue...]";

constexpr std::string_view help_text =
    R"(postsuper: removes, holds, requeues and repairs messages in the queue.  For root.

  postsuper [-c DIR] [-v] [ACTION ID]... [-psS] [QUEUE...]

ID is a queue id, - for ids from standard input, ALL for every message (capitals).
  -d  remove                         from maildrop incoming active deferred hold
  -h  hold: no delivery attempts     from incoming active deferred
  -H  release from hold              from hold
  -r  requeue: treat as new mail     from incoming active deferred hold
  -e  expire at the next attempt     in incoming active deferred hold
  -f  expire, and release from hold
  -p  remove unfinished files older than 7 days
  -s  give files the names and places that they must have (after copying a spool), and files
      to mail that a crash has left in the commit log
  -S  the same, checking long queue ids too
Without an action: -p and -s.  QUEUE... limits the work to these queues.

Exit codes: 0, also when nothing was found; 1 wrong usage, not root.
)";

constexpr std::int64_t unfinished_max_age = 7 * 86400;
constexpr std::size_t max_line = 1024;

struct Order {
    Action action;
    std::string id;
};

struct Request {
    std::optional<std::string> directory;
    std::vector<Order> orders;
    QueueSet queues; // empty: each action's own
    bool purge = false;
    bool repair = false;
    bool repair_long = false;
    std::string wrong_queue;
};

Action action_of(int letter)
{
    switch (letter) {
    case 'd':
        return Action::remove;
    case 'e':
        return Action::expire;
    case 'f':
        return Action::expire_and_release;
    case 'h':
        return Action::hold;
    case 'H':
        return Action::release;
    default:
        return Action::requeue;
    }
}

// nullopt: wrong usage.
std::optional<Request> parse(int argc, char** argv)
{
    Request request;
    ::opterr = 0;
    for (int option = 0; (option = ::getopt(argc, argv, "+c:d:e:f:h:H:pr:sSv")) != -1;) {
        switch (option) {
        case 'c':
            request.directory = ::optarg;
            break;
        case 'p':
            request.purge = true;
            break;
        case 's':
            request.repair = true;
            break;
        case 'S':
            request.repair = request.repair_long = true;
            break;
        case 'v':
            break;
        case '?':
            return std::nullopt;
        default:
            request.orders.push_back({action_of(option), ::optarg});
        }
    }
    if (request.orders.empty() && !request.purge && !request.repair)
        request.purge = request.repair = true;
    for (int i = ::optind; i < argc; ++i) {
        if (const auto queue = queue_from_name(argv[i]))
            request.queues.add(*queue);
        else
            request.wrong_queue = argv[i];
    }
    return request;
}

void apply_one(const Command& command, QueueActions& actions, Action action, std::string_view text)
{
    const auto id = QueueId::parse(text);
    if (id)
        actions.apply(action, *id);
    else
        command.say(Severity::warning, fmt::format("invalid mail queue id: {}", text.substr(0, 100)));
}

void apply_input(const Command& command, QueueActions& actions, Action action)
{
    std::string line;
    while (std::getline(std::cin, line))
        if (const std::string_view text = trim(line); !text.empty() && text.size() <= max_line)
            apply_one(command, actions, action, text);
}

void carry_out(const Command& command, QueueActions& actions, const Order& order)
{
    if (order.id == "ALL")
        actions.apply_to_all(order.action);
    else if (order.id == "-")
        apply_input(command, actions, order.action);
    else
        apply_one(command, actions, order.action, order.id);
}

void summarise(const Command& command, const Request& request, const ActionCounts& counts)
{
    const auto ordered = [&](auto... wanted) {
        for (const Order& order : request.orders)
            if (((order.action == wanted) || ...))
                return true;
        return false;
    };
    const auto line = [&](bool wanted, std::string_view what, std::size_t count) {
        if (wanted)
            command.say(Severity::info, fmt::format("{}: {} message{}", what, count, count == 1 ? "" : "s"));
    };
    line(ordered(Action::requeue), "Requeued", counts.requeued);
    line(ordered(Action::remove), "Deleted", counts.removed);
    line(ordered(Action::expire, Action::expire_and_release), "Force-expired", counts.expired);
    line(ordered(Action::hold), "Placed on hold", counts.held);
    line(ordered(Action::release, Action::expire_and_release), "Released from hold", counts.released);
}

// What was put somewhere else is to be seen at once; nobody listens: at the next start.
void wake_workers(const ActionCounts& counts)
{
    if (counts.requeued > 0)
        (void)notify("public/pickup", "W");
    if (counts.released > 0)
        (void)notify("public/qmgr", "D");
}

// Mail of the commit log that a crash has left gets files: other software knows no log.
Result<> empty_logs(const Command& command, const Spool& spool)
{
    for (LeftLog& log : LeftLog::find(spool)) {
        TRY(const auto messages, log.messages());
        bool is_empty = true;
        for (const LeftLog::Message& message : messages) {
            const auto restored = log.restore(message);
            is_empty &= restored && *restored;
            if (!restored)
                command.say(Severity::warning,
                            fmt::format("{}: {}", message.place.id.text(), restored.error().context));
        }
        if (is_empty)
            log.remove();
        if (!messages.empty())
            command.say(Severity::info, fmt::format("Taken out of the commit log: {} message{}",
                                                    messages.size(), messages.size() == 1 ? "" : "s"));
    }
    return {};
}

Result<> repair(const Command& command, const Request& request, const Spool& spool, bool is_running)
{
    const QueueSet queues = request.queues.empty() ? QueueSet{Queue::maildrop, Queue::incoming, Queue::active,
                                                              Queue::deferred, Queue::hold}
                                                   : request.queues;
    const auto say = [&](Severity severity, std::string_view text) { command.say(severity, text); };
    if (request.purge)
        TRY_VOID(purge_unfinished(spool, queues, unfinished_max_age));
    if (!request.repair)
        return {};
    if (!is_running && request.queues.empty()) // else the queue manager sees to it
        TRY_VOID(empty_logs(command, spool));
    TRY(const std::size_t renamed, repair_names(spool, queues, request.repair_long, say));
    if (renamed > 0) {
        say(Severity::info,
            fmt::format("Renamed to match inode number: {} message{}", renamed, renamed == 1 ? "" : "s"));
        say(Severity::warning, "QUEUE FILE NAMES WERE CHANGED TO MATCH INODE NUMBERS");
    }
    return {};
}

int work(const Command& command, const Request& request, const Config& config)
{
    if (::chdir(config.queue_directory().c_str()) != 0)
        return command.fail(1, system_error("chdir " + config.queue_directory()).context);
    const bool is_running = running_master(config.queue_directory()).has_value();
    if (const auto changed = become_mail_owner(config); !changed)
        return command.fail(1, changed.error().context);
    const auto spool = open_configured_spool(config);
    if (!spool)
        return command.fail(1, spool.error().context);
    const auto say = [&](Severity severity, std::string_view text) { command.say(severity, text); };
    QueueActions actions(*spool, request.queues, say);
    for (const Order& order : request.orders)
        carry_out(command, actions, order);
    const auto repaired = repair(command, request, *spool, is_running);
    summarise(command, request, actions.counts());
    wake_workers(actions.counts());
    return repaired ? 0 : command.fail(1, repaired.error().context);
}

int run(int argc, char** argv)
{
    Command command("postsuper");
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::fwrite(help_text.data(), 1, help_text.size(), stdout);
        return 0;
    }
    if (!command.is_root())
        return command.fail(1, "use of this command is reserved for the superuser");
    const auto request = parse(argc, argv);
    if (!request)
        return command.fail(1, usage_text);
    if (!request->wrong_queue.empty())
        return command.fail(1, fmt::format("invalid directory name: {}", request->wrong_queue));
    const auto config = command.load_config(request->directory);
    if (!config)
        return command.fail(1, config.error().context);
    command.open_log(*config);
    const int code = work(command, *request, *config);
    log::flush(true);
    return code;
}

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
