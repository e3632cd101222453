// postqueue: lists the queue and asks for delivery now.  Installed with the rights of
// setgid_group, which may reach the sockets of public/; checks itself who may ask what.
#include "base/text.h"
#include "command.h"
#include "config/values.h"
#include "frame_client.h"
#include "ipc/flush.h"
#include "ipc/qmgr.h"
#include "ipc/showq.h"
#include "local_user.h"
#include "mail/address.h"
#include "os/files.h"
#include "queue_listing.h"
#include "spool/queue_id.h"
#include "spool_snapshot.h"
#include "table/domain_list.h"

#include <sysexits.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::string_view usage_text =
    "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site";

constexpr std::string_view help_text = R"(postqueue: lists the mail queue, asks for delivery now.

  postqueue [-c DIR] [-v] -p        list the queue as a table, as mailq does
  postqueue [-c DIR] [-v] -j        list the queue, one JSON object per line
  postqueue [-c DIR] [-v] -f        try to deliver everything now
  postqueue [-c DIR] [-v] -i ID     try to deliver this one message now
  postqueue [-c DIR] [-v] -s SITE   try to deliver the mail for this domain now; it must be
                                    one of fast_flush_domains

Who may list and flush: authorized_mailq_users, authorized_flush_users; root and the
mail owner always may.  Root can list the queue of a mail system that is down.

Exit codes: 0; 69 wrong usage, not permitted, or the mail system is down.
)";

enum class Mode { none, table, json, flush_all, flush_message, flush_site };

struct Request {
    Mode mode = Mode::none;
    std::string operand;
    std::optional<std::string> directory;
    bool help = false;
};

// nullopt: wrong usage.
std::optional<Request> parse(int argc, char** argv)
{
    Request request;
    if (argc == 2 && std::string_view(argv[1]) == "--help")
        request.help = true;
    const auto choose = [&](Mode mode) {
        const bool first = request.mode == Mode::none;
        request.mode = mode;
        return first;
    };
    ::opterr = 0;
    for (int option = 0; !request.help && (option = ::getopt(argc, argv, "+c:fi:jps:v")) != -1;) {
        bool good = true;
        switch (option) {
        case 'c':
            request.directory = ::optarg;
            break;
        case 'f':
            good = choose(Mode::flush_all);
            break;
        case 'i':
            good = choose(Mode::flush_message);
            request.operand = ::optarg;
            break;
        case 'j':
            good = choose(Mode::json);
            break;
        case 'p':
            good = choose(Mode::table);
            break;
        case 's':
            good = choose(Mode::flush_site);
            request.operand = ::optarg;
            break;
        case 'v':
            break;
        default:
            good = false;
        }
        if (!good)
            return std::nullopt;
    }
    if (!request.help && (request.mode == Mode::none || ::optind < argc))
        return std::nullopt;
    return request;
}

// Output to the person; a closed pipe ends the listing quietly.
void print(std::string_view text)
{
    std::fwrite(text.data(), 1, text.size(), stdout);
}

class Listing
{
public:
    Listing(const Config& config, bool json)
        : json_(json), null_sender_(config.get("empty_address_recipient")),
          table_(config.get_bool("enable_long_queue_ids").value_or(false), null_sender_)
    {
    }

    void add(const ipc::ShownMessage& message)
    {
        print(json_ ? json_line(message, null_sender_) : table_.add(message));
    }
    void end() const
    {
        if (!json_)
            print(table_.end());
    }

private:
    bool json_;
    std::string null_sender_;
    MailqTable table_;
};

Result<> list_by_worker(FrameClient& worker, Listing& listing)
{
    TRY_VOID(worker.send(ipc::Message(ipc::Kind::show_queue)));
    for (;;) {
        TRY(const ipc::Message answer, worker.receive());
        if (answer.kind() == ipc::Kind::ok)
            return {};
        if (answer.kind() != ipc::Kind::show_message)
            return Error{Fault::malformed, "unexpected answer of the showq service"};
        TRY(const ipc::ShownMessage shown, ipc::decode_shown_message(answer));
        listing.add(shown);
    }
}

Result<> list_directly(const Command& command, const Config& config, Listing& listing)
{
    // Queue files are others' bytes: they are read with the rights of their owner, not of root.
    TRY_VOID(become_mail_owner(config));
    TRY(const Spool spool, open_configured_spool(config));
    for (const Queue queue :
         {Queue::maildrop, Queue::active, Queue::incoming, Queue::deferred, Queue::hold}) {
        const auto see = [&](const SnapshotMessage& message) {
            if (message.problem.empty())
                listing.add(message.shown);
            else
                command.say(Severity::warning,
                            fmt::format("{}: {}", message.shown.queue_id, message.problem));
        };
        TRY_VOID(read_queue(spool, queue, false, see));
    }
    return {};
}

int list(const Command& command, const Config& config, bool json)
{
    if (const std::string reason = refusal_of_caller(config, "authorized_mailq_users", "view the mail queue",
                                                     config.get("mail_owner"));
        !reason.empty())
        return command.fail(EX_UNAVAILABLE, reason);
    Listing listing(config, json);
    auto worker = FrameClient::connect("public/showq");
    if (worker) {
        const auto done = list_by_worker(*worker, listing);
        if (!done)
            return command.fail(EX_UNAVAILABLE, "showq service: " + done.error().context);
    } else if (command.is_root()) {
        command.say(Severity::warning, fmt::format("Mail system is down -- accessing queue directly ({})",
                                                   worker.error().context));
        const auto done = list_directly(command, config, listing);
        if (!done)
            return command.fail(EX_UNAVAILABLE, done.error().context);
    } else if (worker.error().number == EACCES) {
        return command.fail(EX_UNAVAILABLE, worker.error().context);
    } else {
        return command.fail(EX_UNAVAILABLE, "Queue report unavailable - mail system is down");
    }
    listing.end();
    std::fflush(stdout);
    return 0;
}

Result<> ask_queue_manager(const ipc::QueueFlush& request)
{
    TRY(FrameClient worker, FrameClient::connect("public/qmgr"));
    TRY_VOID(worker.send(ipc::encode(request)));
    TRY(const ipc::Message answer, worker.receive());
    if (answer.kind() == ipc::Kind::ok)
        return {};
    return Error{Fault::refused, std::string(answer.find("reason").value_or("no reason given"))};
}

bool is_down(const Error& error)
{
    return error.number == ENOENT || error.number == ECONNREFUSED;
}

// flush has a list of what waits for the site; where it does not run, the queue manager reads
// the whole deferred queue.
Result<> flush_site(const std::string& site)
{
    auto worker = FrameClient::connect("public/flush");
    if (!worker && is_down(worker.error()))
        return ask_queue_manager({.queue_id = {}, .destination = site});
    if (!worker)
        return worker.error();
    TRY_VOID(worker->send(ipc::encode_flush_site(site)));
    TRY(const ipc::Message message, worker->receive());
    const auto answer = message.kind() == ipc::Kind::ok
                            ? ipc::decode_flush_answer(message)
                            : Result<ipc::FlushAnswer>(ipc::FlushAnswer::unavailable);
    if (!answer)
        return answer.error();
    switch (*answer) {
    case ipc::FlushAnswer::started:
        return {};
    case ipc::FlushAnswer::refused:
        return Error{Fault::refused, "the site is not in fast_flush_domains of the running flush service"};
    case ipc::FlushAnswer::unavailable:
        break;
    }
    return Error{Fault::broken, "the flush service cannot do it now"};
}

bool is_site(std::string_view site)
{
    return is_valid_domain(site, true) || literal_address(site);
}

// "" when mail for this site may be flushed by itself, else the reason.
std::string ineligible(const Config& config, std::string_view site)
{
    const std::vector<std::string> parents = parse_list(config.get("parent_domain_matches_subdomains"));
    ListOptions options;
    options.kind = ListKind::domains;
    options.parent_matches_subdomains = std::ranges::find(parents, "fast_flush_domains") != parents.end();
    options.parameter = "fast_flush_domains";
    const auto list = MatchList::open(config.get("fast_flush_domains"), options);
    if (!list)
        return list.error().context;
    const ListMatch match = list->match(lower(site));
    if (match.is_broken())
        return match.reason;
    return match ? std::string()
                 : fmt::format("Flush service is not configured for destination \"{}\"", site);
}

int flush(const Command& command, const Config& config, const Request& request)
{
    if (const std::string reason = refusal_of_caller(config, "authorized_flush_users", "flush the mail queue",
                                                     config.get("mail_owner"));
        !reason.empty())
        return command.fail(EX_UNAVAILABLE, reason);
    if (request.mode == Mode::flush_message && !QueueId::is_valid(request.operand))
        return command.fail(EX_UNAVAILABLE,
                            fmt::format("Cannot flush queue ID - invalid name: \"{}\"", request.operand));
    if (request.mode == Mode::flush_site && !is_site(request.operand))
        return command.fail(
            EX_UNAVAILABLE,
            fmt::format("Cannot flush mail queue - invalid destination: \"{}\"", request.operand));
    if (request.mode == Mode::flush_site)
        if (const std::string reason = ineligible(config, request.operand); !reason.empty())
            return command.fail(EX_UNAVAILABLE, reason);
    Result<> done;
    if (request.mode == Mode::flush_all)
        done = notify("public/qmgr", "FADI");
    else if (request.mode == Mode::flush_message)
        done = ask_queue_manager({.queue_id = request.operand, .destination = {}});
    else
        done = flush_site(lower(request.operand));
    if (done)
        return 0;
    if (is_down(done.error()))
        return command.fail(EX_UNAVAILABLE, "Cannot flush mail queue - mail system is down");
    return command.fail(EX_UNAVAILABLE, "Cannot flush mail queue - " + done.error().context);
}

int run(int argc, char** argv)
{
    const Command command("postqueue");
    const auto request = parse(argc, argv);
    if (!request)
        return command.fail(EX_UNAVAILABLE, usage_text);
    if (request->help) {
        print(help_text);
        return 0;
    }
    const auto config = command.load_config(request->directory);
    if (!config)
        return command.fail(EX_UNAVAILABLE, config.error().context);
    // relative names keep sockets of deep spools below the kernel's limit
    if (::chdir(config->queue_directory().c_str()) != 0)
        return command.fail(EX_UNAVAILABLE, system_error("chdir " + config->queue_directory()).context);
    if (request->mode == Mode::table || request->mode == Mode::json)
        return list(command, *config, request->mode == Mode::json);
    return flush(command, *config, *request);
}

} // namespace

} // namespace bulkhead

int main(int argc, char** argv)
{
    return bulkhead::run(argc, argv);
}
