#include "walk.h"

#include "async/offload.h"
#include "base/text.h"
#include "config/values.h"
#include "delivery/act_as.h"
#include "log/log.h"
#include "mail/address.h"
#include "os/files.h"
#include "spool/envelope.h"
#include "table/ask.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

namespace
{

bool lists(const std::vector<std::string>& names, std::string_view name)
{
    return std::ranges::any_of(names,
                               [&](const std::string& each) { return equals_ignoring_case(each, name); });
}

bool is_probe(const ipc::DeliveryRequest& request)
{
    return request.trace_flags & (trace_flag::probe | trace_flag::verify_only);
}

std::string with_extension(const std::string& address, const LocalRecipient& from,
                           std::string_view delimiters)
{
    const AddressParts parts = split_address(address);
    if (from.extension.empty() || split_extension(parts.local, delimiters).delimiter != '\0')
        return address;
    const std::string local = fmt::format("{}{}{}", parts.local, from.delimiter, from.extension);
    return parts.has_domain ? fmt::format("{}@{}", local, parts.domain) : local;
}

// "Nothing there" for a file that somebody may have or not.
bool is_absent(int number)
{
    return number == ENOENT || number == ENOTDIR || number == EACCES || number == ELOOP ||
           number == ENAMETOOLONG;
}

struct UserFile {
    std::string text;
    CommandIdentity owner;
};

// A .forward or :include: file: regular, not writable for everybody.  A missing one is
// Fault::not_found; what nobody may trust is Fault::refused.
Result<UserFile> read_user_file(const std::string& path, std::size_t limit)
{
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!fd) {
        const Error error = system_error("open " + path);
        return Error{is_absent(error.number) ? Fault::not_found : Fault::io, error.context, error.number};
    }
    struct stat st{};
    if (::fstat(fd.get(), &st) != 0)
        return system_error("stat " + path);
    if (!S_ISREG(st.st_mode))
        return Error{Fault::refused, path + " is not a regular file"};
    if ((st.st_mode & S_IWOTH) != 0)
        return Error{Fault::refused, path + " is writable for everybody"};
    TRY(std::string text, read_descriptor(fd.get(), limit));
    return UserFile{std::move(text), {st.st_uid, st.st_gid}};
}

// The same as its owner or root wrote it, read with the user's rights.
Result<UserFile> read_forward(const std::string& path, const CommandIdentity& user, std::size_t limit)
{
    TRY(const ActAs identity, ActAs::become({user.uid, user.gid}));
    TRY(UserFile file, read_user_file(path, limit));
    if (file.owner.uid != user.uid && file.owner.uid != 0)
        return Error{Fault::refused, fmt::format("{} is owned by user {}", path, file.owner.uid)};
    return file;
}

// With the rights of the user whose .forward names it; else with our own, and if those do not
// do, with those of the file's owner.
Result<UserFile> read_include(const std::string& path, std::optional<CommandIdentity> user, std::size_t limit)
{
    if (user) {
        TRY(const ActAs identity, ActAs::become({user->uid, user->gid}));
        return read_user_file(path, limit);
    }
    auto file = read_user_file(path, limit);
    struct stat st{};
    if (file || file.error().number != EACCES || ::stat(path.c_str(), &st) != 0 || st.st_uid == 0)
        return file;
    TRY(const ActAs identity, ActAs::become({st.st_uid, st.st_gid}));
    return read_user_file(path, limit);
}

bool leads_here(const LocalRecipient& recipient, const std::string& step)
{
    return std::ranges::find(recipient.expanded, step) != recipient.expanded.end();
}

bool has_home(const Account& account)
{
    const auto identity = ActAs::become({account.ids.uid, account.ids.gid});
    struct stat st{};
    return identity && ::stat(account.home.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

} // namespace

LocalRecipient::Split Walk::split() const
{
    return {local_.settings().recipient_delimiter(), local_.settings().owner_request_special()};
}

void Walk::count(DeliveryOutcome outcome)
{
    some_deferred_ |= outcome == DeliveryOutcome::deferred;
    some_bounced_ |= outcome == DeliveryOutcome::bounced;
    some_sent_ |= outcome == DeliveryOutcome::sent;
}

// One of several destinations that must be tried again gets a message of its own, so that the
// others do not get theirs again.  Not where the address alone would not mean the same:
// behind a .forward file, or at the end of its own alias.
bool Walk::may_wait_alone(const LocalRecipient& recipient) const
{
    return several_ && recipient.depth > 0 && !recipient.literal && !is_probe(request()) &&
           std::ranges::none_of(recipient.expanded, [&](const std::string& step) {
               return step.starts_with("forward ") || step == "alias " + recipient.local ||
                      step == "alias " + recipient.user;
           });
}

void Walk::forward_to(const LocalRecipient& from, std::string address)
{
    const auto group = std::ranges::find(forwards_, from.sender, &ForwardGroup::sender);
    if (group != forwards_.end())
        group->recipients.push_back(std::move(address));
    else
        forwards_.push_back({from.sender, from.delivered_to, {std::move(address)}});
}

Task<> Walk::conclude(const LocalRecipient& recipient, DeliveryStatus status)
{
    if (status.outcome == DeliveryOutcome::deferred && may_wait_alone(recipient)) {
        log::info(fmt::format("{}: {} waits in a message of its own: {}", request().queue_id,
                              external_form(recipient.address), status.reason));
        forward_to(recipient, recipient.address);
        co_return;
    }
    ipc::DeliveryRecipient part = request().recipients[index_];
    if (recipient.depth > 0) {
        if (part.original.empty())
            part.original = part.address;
        part.address = recipient.address;
        part.offset = -1;
    }
    const DeliveryOutcome outcome = co_await delivery_.report(std::move(part), std::move(status));
    count(outcome);
}

Task<> Walk::defer(const LocalRecipient& recipient, std::string reason, std::string dsn)
{
    DeliveryStatus status = Local::status_of(DeliveryOutcome::deferred, std::move(dsn), std::move(reason));
    co_await conclude(recipient, std::move(status));
}

Task<> Walk::run()
{
    const ipc::DeliveryRecipient& own = request().recipients[index_];
    LocalRecipient recipient;
    recipient.address = recipient.delivered_to = own.address;
    recipient.original = own.original.empty() ? own.address : own.original;
    recipient.sender = request().sender;
    co_await deliver(std::move(recipient));
    co_await send_forwards();
    if (!some_deferred_ && !some_bounced_ && !some_sent_) {
        // Everything that the alias names had its turn before, or there was nothing.
        LocalRecipient whole;
        whole.address = own.address;
        DeliveryStatus done =
            Local::status_of(DeliveryOutcome::sent, "2.0.0", "all destinations are duplicates");
        co_await conclude(whole, std::move(done));
    }
    // The worst that came of any part: qmgr has the notice made when some of it failed.
    delivery_.close(index_, some_deferred_  ? DeliveryOutcome::deferred
                            : some_bounced_ ? DeliveryOutcome::bounced
                                            : DeliveryOutcome::sent);
}

Task<> Walk::deliver(LocalRecipient recipient)
{
    recipient.split(split());
    if (!local_.settings().frozen_delivered_to())
        recipient.delivered_to = recipient.address;
    const std::string stop = lower(external_form(recipient.delivered_to));
    if (recipient.depth > deepest || std::ranges::find(stops_, stop) != stops_.end()) {
        const std::string_view what =
            recipient.depth > deepest ? "possible alias database loop for" : "mail forwarding loop for";
        DeliveryStatus loop = Local::status_of(DeliveryOutcome::bounced, "5.4.6",
                                               fmt::format("{} {}", what, external_form(recipient.address)));
        co_await conclude(recipient, std::move(loop));
        co_return;
    }
    if (!recipient.literal) {
        const bool done = co_await to_alias(recipient);
        if (done)
            co_return;
    }
    const auto look_up = [&] { return find_account(recipient.user); };
    const auto account = co_await run_on(Pool::lookups, look_up);
    if (!account) {
        co_await defer(recipient, account.error().context);
        co_return;
    }
    if (*account && !recipient.literal) {
        const bool done = co_await to_forward_file(recipient, **account);
        if (done)
            co_return;
    }
    const bool passed = co_await to_transport(recipient, Local::PerRecipient::mailbox_transport,
                                              local_.settings().mailbox_transport());
    if (passed)
        co_return;
    if (*account)
        co_await to_account(recipient, **account);
    else
        co_await to_unknown(recipient);
}

// An owner- alias makes its owner the sender, so that bounces go to him; bounces themselves stay
// without one.
Task<std::string> Walk::owner_sender(const LocalRecipient& recipient, const FoundAlias& alias, bool& found)
{
    found = false;
    if (recipient.sender.empty() || alias.key.starts_with("owner-"))
        co_return recipient.sender;
    const std::string key = "owner-" + alias.key;
    const auto look_up = [&] { return local_.aliases().find(key); };
    const auto owner = co_await ask(local_.aliases().may_block(), look_up);
    if (!owner || !*owner)
        co_return local_.settings().reset_owner_alias() ? request().sender : recipient.sender;
    found = true;
    std::string sender = key;
    if (local_.settings().expand_owner_alias()) {
        const auto names = parse_destinations((*owner)->value);
        if (names && !names->empty() && names->front().kind == Destination::Kind::address)
            sender = names->front().text;
    }
    if (sender.find('@') == sender.npos)
        sender += "@" + std::string(split_address(recipient.address).domain);
    co_return sender;
}

Task<bool> Walk::to_alias(const LocalRecipient& recipient)
{
    std::vector<std::string> keys{recipient.local};
    if (recipient.user != recipient.local)
        keys.push_back(recipient.user);
    for (const std::string& key : keys) {
        const auto look_up = [&] { return local_.aliases().find(key); };
        const auto alias = co_await ask(local_.aliases().may_block(), look_up);
        if (!alias) {
            log::warn(fmt::format("alias_maps: {}: {}", key, alias.error().context));
            co_await defer(recipient, "alias database unavailable");
            co_return true;
        }
        // An alias that names itself means the user of that name.
        if (!*alias || leads_here(recipient, "alias " + key))
            continue;
        auto destinations = parse_destinations((*alias)->value);
        if (!destinations || destinations->empty()) {
            log::warn(fmt::format("alias {}: {}", key,
                                  destinations ? "it names nobody" : destinations.error().context));
            co_await defer(recipient, "alias database error", "4.3.5");
            co_return true;
        }
        LocalRecipient from = recipient;
        from.expanded.push_back("alias " + key);
        bool has_owner = false;
        from.sender = co_await owner_sender(recipient, **alias, has_owner);
        from.has_owner = recipient.has_owner || has_owner;
        from.source = Source::alias;
        from.rights = (*alias)->owner;
        if (key == recipient.local || !lists(local_.settings().propagate_extensions(), "alias"))
            from.extension.clear();
        co_await to_destinations(from, std::move(*destinations), std::nullopt);
        co_return true;
    }
    co_return false;
}

std::vector<std::string> Walk::forward_paths(const LocalRecipient& recipient, const Account& account) const
{
    const auto macros = macros_of(recipient, &account, local_.settings().recipient_delimiter(),
                                  local_.settings().forward_filter().text);
    std::vector<std::string> paths;
    for (const std::string& element : parse_list(local_.settings().forward_path().text)) {
        auto path = expand_once(element, macros);
        if (!path)
            log::warn("forward_path: " + path.error().context);
        else if (path->starts_with('/') && std::ranges::find(paths, *path) == paths.end())
            paths.push_back(std::move(*path));
    }
    return paths;
}

Task<bool> Walk::to_forward_file(const LocalRecipient& recipient, const Account& account)
{
    // A user who names himself in his .forward means his mailbox.
    if (account.home.empty() || leads_here(recipient, "forward " + account.name))
        co_return false;
    const std::vector<std::string> paths = forward_paths(recipient, account);
    for (const std::string& path : paths) {
        const auto read = [&] { return read_forward(path, account.ids, largest_file); };
        const auto file = co_await offload(read);
        if (!file && file.error().fault == Fault::io) {
            co_await defer(recipient, file.error().context);
            co_return true;
        }
        if (!file) {
            if (file.error().fault != Fault::not_found)
                log::warn(fmt::format("{}: {}", recipient.user, file.error().context));
            continue;
        }
        auto destinations = parse_destination_file(file->text);
        if (!destinations) {
            log::warn(fmt::format("{}: {}", path, destinations.error().context));
            continue;
        }
        if (destinations->empty())
            continue;
        LocalRecipient from = recipient;
        from.expanded.push_back("forward " + account.name);
        from.source = Source::forward;
        from.rights = account.ids;
        const bool whole = path.find(recipient.extension) != path.npos && !recipient.extension.empty();
        if (whole || !lists(local_.settings().propagate_extensions(), "forward"))
            from.extension.clear();
        co_await to_destinations(from, std::move(*destinations), account);
        co_return true;
    }
    co_return false;
}

Task<bool> Walk::to_transport(const LocalRecipient& recipient, Local::PerRecipient table,
                              std::string fallback)
{
    const Lookup answer = co_await local_.find(table, recipient);
    if (answer.is_broken()) {
        co_await defer(recipient, "transport table unavailable: " + answer.reason());
        co_return true;
    }
    const std::string route = answer.is_found() ? answer.value() : std::move(fallback);
    if (trim(route).empty())
        co_return false;
    const auto outcome = co_await local_.pass(delivery_, index_, recipient, route);
    if (outcome) {
        count(*outcome);
        co_return true;
    }
    const bool wrong = outcome.error().fault == Fault::config;
    log::warn(fmt::format("{}: {}", request().queue_id, outcome.error().context));
    const char* const reason = wrong ? "mail system configuration error" : "mail transport unavailable";
    const char* const dsn = wrong ? "4.3.5" : "4.3.0";
    co_await defer(recipient, reason, dsn);
    co_return true;
}

Task<> Walk::to_account(const LocalRecipient& recipient, const Account& account)
{
    if (!is_new(fmt::format("mailbox {} {} {}", account.name, recipient.extension, recipient.sender)))
        co_return;
    const LocalParams& settings = local_.settings();
    if (settings.require_home()) {
        const auto look = [&] { return has_home(account); };
        const bool there = co_await offload(look);
        if (!there) {
            co_await defer(recipient, "cannot access home directory of user " + account.name, "4.2.1");
            co_return;
        }
    }
    const Lookup mapped = co_await local_.find(Local::PerRecipient::mailbox_command, recipient);
    if (mapped.is_broken()) {
        co_await defer(recipient, "mailbox_command_maps: " + mapped.reason());
        co_return;
    }
    const std::string command(trim(mapped.is_found() ? mapped.value() : settings.mailbox_command().text));
    if (!command.empty()) {
        const CommandIdentity rights = local_.rights_or_default(account.ids);
        DeliveryStatus status = co_await local_.run(delivery_, recipient, command, rights, &account);
        co_await conclude(recipient, std::move(status));
        co_return;
    }
    Local::Mailbox mailbox;
    mailbox.owner = account.ids;
    mailbox.user = account.name;
    if (!settings.home_mailbox().empty()) {
        mailbox.base = account.home;
        mailbox.value = settings.home_mailbox();
    } else {
        mailbox.base = settings.mail_spool();
        mailbox.value = mailbox.base.ends_with('/') ? account.name + "/" : account.name;
        mailbox.spool = true;
    }
    DeliveryStatus status = co_await local_.write(delivery_, recipient, mailbox);
    co_await conclude(recipient, std::move(status));
}

Task<> Walk::to_unknown(const LocalRecipient& recipient)
{
    const LocalParams& settings = local_.settings();
    const bool passed = co_await to_transport(recipient, Local::PerRecipient::fallback_transport,
                                              settings.fallback_transport());
    if (passed)
        co_return;
    const std::string& double_bounce = settings.double_bounce_sender();
    if (recipient.local == lower(double_bounce.substr(0, double_bounce.find('@')))) {
        DeliveryStatus gone = Local::status_of(DeliveryOutcome::sent, "2.0.0",
                                               "undeliverable postmaster notification discarded");
        co_await conclude(recipient, std::move(gone));
        co_return;
    }
    if (!settings.luser_relay().text.empty() && is_new("luser_relay")) {
        const auto macros =
            macros_of(recipient, nullptr, settings.recipient_delimiter(), default_character_filter);
        const auto relay = expand_once(settings.luser_relay().text, macros);
        auto destinations =
            relay ? parse_destinations(*relay) : Result<std::vector<Destination>>(relay.error());
        if (!destinations || destinations->empty()) {
            log::warn(fmt::format("luser_relay: {}",
                                  destinations ? "it names nobody" : destinations.error().context));
            co_await defer(recipient, "mail system configuration error", "4.3.5");
            co_return;
        }
        LocalRecipient from = recipient;
        from.source = Source::alias;
        from.extension.clear();
        co_await to_destinations(from, std::move(*destinations), std::nullopt);
        co_return;
    }
    DeliveryStatus unknown = Local::status_of(
        DeliveryOutcome::bounced, "5.1.1",
        fmt::format("unknown user: \"{}\"", printable(quote_local_part(recipient.local), true)));
    co_await conclude(recipient, std::move(unknown));
}

Task<> Walk::to_destinations(const LocalRecipient& from, std::vector<Destination> destinations,
                             std::optional<Account> account)
{
    several_ |= destinations.size() > 1;
    for (Destination& each : destinations) {
        if (++addresses_ > most_addresses) {
            co_await defer(from, fmt::format("more than {} destinations", most_addresses));
            co_return;
        }
        switch (each.kind) {
        case Destination::Kind::address:
            co_await to_address(from, std::move(each.text), false);
            break;
        case Destination::Kind::literal_user:
            co_await to_address(from, std::move(each.text), true);
            break;
        case Destination::Kind::command:
            co_await to_command(from, std::move(each.text), account);
            break;
        case Destination::Kind::file:
            co_await to_file(from, std::move(each.text));
            break;
        case Destination::Kind::include:
            co_await to_include(from, std::move(each.text), account);
            break;
        }
    }
}

Task<> Walk::to_address(const LocalRecipient& from, std::string text, bool literal)
{
    const auto whole = co_await local_.rewriter().rewrite(ipc::RewriteContext::local, std::move(text));
    if (!whole) {
        co_await defer(from, "address rewriting unavailable: " + whole.error().context);
        co_return;
    }
    const std::string address = with_extension(*whole, from, local_.settings().recipient_delimiter());
    const auto resolved = co_await local_.rewriter().resolve(from.sender, address);
    if (!resolved) {
        co_await defer(from, "address resolving unavailable: " + resolved.error().context);
        co_return;
    }
    LocalRecipient inner;
    inner.address = address;
    inner.sender = from.sender;
    inner.delivered_to = from.delivered_to;
    inner.original = from.original;
    inner.has_owner = from.has_owner;
    inner.expanded = from.expanded;
    inner.literal = literal;
    inner.depth = from.depth + 1;
    inner.split(split());
    // The same address again means something else where it is the end of its own alias.
    const bool ends_alias =
        leads_here(inner, "alias " + inner.local) || leads_here(inner, "alias " + inner.user);
    const bool ends_forward = leads_here(inner, "forward " + inner.user);
    if (!is_new(fmt::format("address {} {} {} {} {}", lower(address), from.sender, literal, ends_alias,
                            ends_forward)))
        co_return;
    // Ours, whatever name the service has in master.cf.
    if (resolved->transport == local_.service_name()) {
        co_await deliver(std::move(inner));
        co_return;
    }
    forward_to(from, address);
}

Task<> Walk::to_command(const LocalRecipient& from, std::string command, std::optional<Account> account)
{
    if (!lists(local_.settings().mail_to_commands(), source_name(from.source))) {
        DeliveryStatus refused =
            Local::status_of(DeliveryOutcome::bounced, "5.7.1", "mail to command is restricted");
        co_await conclude(from, std::move(refused));
        co_return;
    }
    const CommandIdentity rights = local_.rights_or_default(from.rights);
    if (!is_new(fmt::format("command {} {}", rights.uid, command)))
        co_return;
    const Account* const user = account ? &*account : nullptr;
    DeliveryStatus status = co_await local_.run(delivery_, from, command, rights, user);
    co_await conclude(from, std::move(status));
}

Task<> Walk::to_file(const LocalRecipient& from, std::string path)
{
    if (!lists(local_.settings().mail_to_files(), source_name(from.source))) {
        DeliveryStatus refused =
            Local::status_of(DeliveryOutcome::bounced, "5.7.1", "mail to file is restricted");
        co_await conclude(from, std::move(refused));
        co_return;
    }
    const CommandIdentity rights = local_.rights_or_default(from.rights);
    if (!is_new(fmt::format("file {} {}", rights.uid, path)))
        co_return;
    if (path == "/dev/null") {
        DeliveryStatus gone =
            Local::status_of(DeliveryOutcome::sent, "2.0.0", "delivered to file: /dev/null");
        co_await conclude(from, std::move(gone));
        co_return;
    }
    const bool maildir = path.ends_with('/');
    const std::string file = maildir ? path.substr(0, path.find_last_not_of('/') + 1) : path;
    const auto slash = file.rfind('/');
    Local::Mailbox mailbox;
    mailbox.base = slash == 0 ? "/" : file.substr(0, slash);
    mailbox.value = file.substr(slash + 1) + (maildir ? "/" : "");
    mailbox.owner = rights;
    mailbox.user = from.user;
    mailbox.shown_file = path;
    DeliveryStatus status = co_await local_.write(delivery_, from, mailbox);
    co_await conclude(from, std::move(status));
}

Task<> Walk::to_include(const LocalRecipient& from, std::string path, std::optional<Account> account)
{
    if (!path.starts_with('/') || !is_new("include " + path)) {
        if (!path.starts_with('/'))
            co_await defer(from, fmt::format(":include:{}: not an absolute path", printable(path)), "4.3.5");
        co_return;
    }
    const auto rights = account ? std::optional(account->ids) : std::nullopt;
    const auto read = [&] { return read_include(path, rights, largest_file); };
    const auto file = co_await offload(read);
    auto destinations =
        file ? parse_destination_file(file->text) : Result<std::vector<Destination>>(file.error());
    if (!destinations) {
        log::warn(fmt::format(":include:{}: {}", path, destinations.error().context));
        co_await defer(from, fmt::format(":include:{}: cannot be read", path));
        co_return;
    }
    LocalRecipient included = from;
    included.source = Source::include;
    included.depth = from.depth + 1;
    included.rights = account ? rights : file->owner.uid == 0 ? std::nullopt : std::optional(file->owner);
    if (!lists(local_.settings().propagate_extensions(), "include"))
        included.extension.clear();
    if (included.depth > deepest)
        co_await defer(from, "too many :include: files within each other");
    else
        co_await to_destinations(included, std::move(*destinations), account);
}

// One new message for each sender.
Task<> Walk::send_forwards()
{
    const ipc::DeliveryRecipient& own = request().recipients[index_];
    LocalRecipient whole;
    whole.address = own.address;
    for (const ForwardGroup& group : forwards_) {
        if (is_probe(request())) {
            DeliveryStatus would = Local::status_of(DeliveryOutcome::sent, "2.0.0",
                                                    "forwards to " + external_form(group.recipients.front()));
            co_await conclude(whole, std::move(would));
            continue;
        }
        const auto id = co_await local_.forward(delivery_, index_, group);
        if (!id) {
            log::warn(fmt::format("{}: cannot forward: {}", request().queue_id, id.error().context));
            co_await defer(whole, "unable to forward message");
            continue;
        }
        DeliveryStatus sent = Local::status_of(DeliveryOutcome::sent, "2.0.0", "forwarded as " + *id);
        sent.action = group.recipients.size() == 1 ? "relayed" : "expanded";
        // The new message carries the wish on.
        sent.success_notice_passed_on = group.recipients.size() == 1 && group.sender == request().sender;
        co_await conclude(whole, std::move(sent));
    }
}

} // namespace bulkhead
