// How local delivers: into files, to commands, through other agents, as a new message.
#include "local.h"

#include "async/offload.h"
#include "async/wait.h"
#include "base/text.h"
#include "delivery/maildir.h"
#include "ipc/pass_on.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/date.h"
#include "spool/content_reader.h"
#include "spool/envelope.h"
#include "spool/marks.h"
#include "spool/record.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

namespace
{

bool is_probe(const ipc::DeliveryRequest& request)
{
    return request.trace_flags & (trace_flag::probe | trace_flag::verify_only);
}

bool lists(const std::vector<std::string>& names, std::string_view name)
{
    return std::ranges::any_of(names,
                               [&](const std::string& each) { return equals_ignoring_case(each, name); });
}

// A spool folder that only its group may write to besides its owner: users' mailboxes are
// made there with that group's rights.
MailboxOwner owner_for(const Local::Mailbox& mailbox)
{
    MailboxOwner owner{mailbox.owner.uid, mailbox.owner.gid};
    struct stat st{};
    if (mailbox.spool && ::stat(mailbox.base.c_str(), &st) == 0 && (st.st_mode & S_IWGRP) != 0 &&
        (st.st_mode & S_IWOTH) == 0)
        owner.gid = st.st_gid;
    return owner;
}

DeliveryStatus status_of_failure(const Error& error, const MailboxPath& path, const Local::Mailbox& mailbox)
{
    const std::string text = path.is_maildir() ? fmt::format("maildir delivery failed: {}", error.context)
                                               : fmt::format("cannot update mailbox {} for user {}. {}",
                                                             path.shown, mailbox.user, error.context);
    if (error.number == EFBIG)
        return Local::status_of(DeliveryOutcome::bounced, "5.2.2", text);
    const char* const dsn = error.number == EDQUOT            ? "4.2.2"
                            : error.number == ENOSPC          ? "4.3.1"
                            : error.fault == Fault::malformed ? "4.3.0"
                                                              : "4.2.0";
    return Local::status_of(DeliveryOutcome::deferred, dsn, text);
}

// A command without shell language is run as it is; a shell gets the rest.
std::vector<std::string> command_line(const std::string& command, const std::string& shell)
{
    constexpr std::string_view plain =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!@%^-_=+:,./ \t";
    std::vector<std::string> words;
    if (!shell.empty()) {
        for (const std::string_view word : split(shell, " \t"))
            words.emplace_back(word);
        words.push_back(command);
    } else if (command.find_first_not_of(plain) == command.npos && command.front() == '/') {
        for (const std::string_view word : split(command, " \t"))
            words.emplace_back(word);
    } else {
        words = {"/bin/sh", "-c", command};
    }
    return words;
}

} // namespace

MessageCopy Local::copy_of(const Delivery& delivery, const LocalRecipient& recipient,
                           std::string_view kind) const
{
    MessageCopy message;
    message.queue_file = delivery.fd();
    message.data_offset = delivery.request().data_offset;
    message.sender = external_form(recipient.sender);
    DeliveryHeaders headers;
    headers.return_path = message.sender;
    headers.original = external_form(recipient.original);
    if (kind.empty() || lists(params_.prepend_delivered_header(), kind))
        headers.delivered_to = external_form(recipient.delivered_to);
    message.headers = headers.text();
    return message;
}

Task<DeliveryStatus> Local::write(const Delivery& delivery, const LocalRecipient& recipient,
                                  const Mailbox& mailbox)
{
    const auto parsed = MailboxPath::parse(mailbox.base, mailbox.value);
    if (!parsed) {
        log::warn(fmt::format("recipient {}: {}", recipient.address, parsed.error().context));
        co_return status_of(DeliveryOutcome::deferred, "4.3.5", "mail system configuration error");
    }
    MailboxPath path = *parsed;
    const std::string kind = !mailbox.shown_file.empty() ? "file: " + mailbox.shown_file
                             : path.is_maildir()         ? "maildir"
                                                         : "mailbox";
    if (!mailbox.shown_file.empty())
        path.shown = mailbox.shown_file;
    if (is_probe(delivery.request()))
        co_return status_of(DeliveryOutcome::sent, "2.0.0", "delivers to " + kind);
    const MailboxOwner owner = owner_for(mailbox);
    const MessageCopy message =
        copy_of(delivery, recipient, mailbox.shown_file.empty() ? std::string_view() : "file");
    const auto written = co_await write_patiently(path, owner, message);
    if (written)
        co_return status_of(DeliveryOutcome::sent, "2.0.0", "delivered to " + kind);
    if (written.error().fault == Fault::malformed)
        delivery.mark_as_corrupt();
    co_return status_of_failure(written.error(), path, mailbox);
}

// Waiting for somebody else's lock is the coroutine's business: no thread sleeps.
Task<Result<>> Local::write_patiently(const MailboxPath& path, const MailboxOwner& owner,
                                      const MessageCopy& message)
{
    std::optional<KeyLock::Hold> turn;
    if (!path.is_maildir()) {
        auto hold = co_await mailbox_files_.acquire(path.shown);
        turn.emplace(std::move(hold));
    }
    const auto write = [&] { return write_once(path, owner, message); };
    for (int attempt = 1;; ++attempt) {
        auto written = co_await offload(write);
        if (written || written.error().fault != Fault::timeout || attempt >= params_.lock_attempts())
            co_return written;
        co_await sleep_for(params_.lock_delay());
    }
}

Result<> Local::write_once(const MailboxPath& path, const MailboxOwner& owner,
                           const MessageCopy& message) const
{
    TRY(const ActAs identity, ActAs::become(owner));
    if (path.is_maildir()) {
        MaildirOptions options;
        options.host = common().myhostname();
        options.room = limit_;
        options.strict_ownership = params_.strict_ownership();
        TRY_VOID(deliver_to_maildir(path, owner, message, options));
        return {};
    }
    MboxOptions options;
    options.locks = locks_;
    options.stale_lock = params_.stale_lock();
    options.limit = limit_;
    options.strict_ownership = params_.strict_ownership();
    return deliver_to_mbox(path, owner, message, options);
}

std::vector<std::string> Local::environment_of(const Delivery& delivery, const LocalRecipient& recipient,
                                               const Account* account) const
{
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 7> of_message = {{
        {"CLIENT_ADDRESS", "log_client_address"},
        {"CLIENT_HELO", "log_helo_name"},
        {"CLIENT_HOSTNAME", "log_client_name"},
        {"CLIENT_PROTOCOL", "log_protocol_name"},
        {"SASL_METHOD", "sasl_method"},
        {"SASL_SENDER", "sasl_sender"},
        {"SASL_USERNAME", "sasl_username"},
    }};
    std::vector<std::string> variables = environment_;
    // Strangers' bytes: a shell must find nothing in them.
    const auto add = [&](std::string_view name, std::string_view value) {
        variables.push_back(fmt::format("{}={}", name, filtered(value, params_.command_filter().text)));
    };
    if (account) {
        variables.push_back("HOME=" + account->home);
        variables.push_back("LOGNAME=" + account->name);
        variables.push_back("USER=" + account->name);
        variables.push_back("SHELL=" + account->shell);
    }
    add("SENDER", recipient.sender.empty() ? "MAILER-DAEMON" : recipient.sender);
    add("RECIPIENT", recipient.address);
    add("ORIGINAL_RECIPIENT", recipient.original);
    add("LOCAL", recipient.local);
    if (!recipient.extension.empty())
        add("EXTENSION", recipient.extension);
    add("DOMAIN", recipient.domain);
    for (const auto& [name, stored] : of_message)
        for (const auto& [key, value] : delivery.attributes())
            if (key == stored)
                add(name, value);
    return variables;
}

Result<std::string> Local::working_directory(const LocalRecipient& recipient, const Account* account) const
{
    const auto macros =
        macros_of(recipient, account, params_.recipient_delimiter(), params_.directory_filter().text);
    return expand_once(params_.execution_directory().text, macros);
}

Task<DeliveryStatus> Local::run(const Delivery& delivery, const LocalRecipient& recipient,
                                const std::string& command, CommandIdentity rights, const Account* account)
{
    if (is_probe(delivery.request()))
        co_return status_of(DeliveryOutcome::sent, "2.0.0", "delivers to command: " + command);
    CommandRun plan;
    auto directory = working_directory(recipient, account);
    if (!directory || command.empty()) {
        log::warn(fmt::format("recipient {}: {}", recipient.address,
                              directory ? "the command is empty" : directory.error().context));
        co_return status_of(DeliveryOutcome::deferred, "4.3.5", "mail system configuration error");
    }
    plan.command.directory = std::move(*directory);
    plan.command.user = rights;
    plan.command.words = command_line(command, params_.command_shell());
    plan.command.environment = environment_of(delivery, recipient, account);
    plan.time_limit = params_.time_limit();
    plan.message = copy_of(delivery, recipient, "command");
    plan.form.from_line = true;
    if (log::verbosity() > 0)
        log::trace(fmt::format("{}: {} to |{} as {}:{}", delivery.request().queue_id, recipient.address,
                               command, rights.uid, rights.gid));
    const auto execute = [&] { return run_command(*starter_, plan); };
    const auto result = co_await run_on(Pool::commands, execute);
    if (!result) {
        if (result.error().fault == Fault::malformed)
            delivery.mark_as_corrupt();
        co_return status_of(DeliveryOutcome::deferred, "4.3.0", result.error().context);
    }
    CommandVerdict verdict = verdict_of(*result, command);
    switch (verdict.kind) {
    case CommandVerdict::Kind::delivered:
        co_return status_of(DeliveryOutcome::sent, "2.0.0", "delivered to command: " + command);
    case CommandVerdict::Kind::failed:
        co_return status_of(DeliveryOutcome::bounced, std::move(verdict.dsn), std::move(verdict.text));
    case CommandVerdict::Kind::try_later:
        break;
    }
    co_return status_of(DeliveryOutcome::deferred, std::move(verdict.dsn), std::move(verdict.text));
}

Task<Result<DeliveryOutcome>> Local::pass(const Delivery& delivery, std::size_t index,
                                          const LocalRecipient& recipient, std::string_view route)
{
    const auto colon = route.find(':');
    const std::string transport(trim(route.substr(0, colon)));
    const std::string_view nexthop = colon == route.npos ? "" : trim(route.substr(colon + 1));
    if (transport.empty() || transport == service_name() || transport.find('/') != transport.npos)
        co_return Error(Fault::config,
                        fmt::format("bad transport for local recipients: {}", printable(route)));
    const ipc::DeliveryRequest& ours = delivery.request();
    ipc::DeliveryRequest request = ours;
    if (!nexthop.empty())
        request.nexthop = nexthop;
    request.sender = recipient.sender;
    ipc::DeliveryRecipient one = ours.recipients[index];
    one.address = recipient.address;
    if (recipient.depth > 0) {
        one.offset = -1; // the mark is ours to make, when all parts are delivered
        if (one.original.empty())
            one.original = ours.recipients[index].address;
    }
    request.recipients.assign(1, one);
    ipc::Service& service =
        transports_.try_emplace(transport, "private/" + transport, common().ipc_timeout()).first->second;
    CO_TRY(const ipc::DeliveryReport report, co_await ipc::pass_on(service, std::move(request)));
    co_return report.outcomes.front();
}

std::string Local::forward_envelope(const Delivery& delivery, std::size_t index,
                                    const ForwardGroup& group) const
{
    const ipc::DeliveryRequest& request = delivery.request();
    const ipc::DeliveryRecipient& recipient = request.recipients[index];
    std::string records;
    append_record(records, RecordType::arrival_time,
                  fmt::format("{} {}", request.arrival.seconds, request.arrival.microseconds));
    for (const auto& [name, value] : delivery.attributes())
        if (name.starts_with("log_") || name.starts_with("client_") || name.starts_with("sasl_"))
            append_attribute(records, name, value);
    append_attribute(records, "rewrite_context",
                     request.rewrite_context.empty() ? "local" : request.rewrite_context);
    append_record(records, RecordType::sender, group.sender);
    if (!request.encoding.empty())
        append_attribute(records, "encoding", request.encoding);
    // One address for one: what the sender asked to be told goes on with it (RFC 3461, 5.2.7.1).
    // A list answers for itself, and its members answer only for failures.
    const bool same_sender = group.sender == request.sender;
    for (const std::string& address : group.recipients) {
        if (same_sender && !recipient.dsn_original.empty())
            append_attribute(records, "dsn_orig_rcpt", recipient.dsn_original);
        if (same_sender && recipient.notify != 0)
            append_attribute(
                records, "notify_flags",
                std::to_string(group.recipients.size() == 1
                                   ? recipient.notify
                                   : std::max(recipient.notify & ~notify::success, notify::never)));
        append_record(records, RecordType::recipient, address);
    }
    append_record(records, RecordType::message_start, "");
    return records;
}

Task<Result<std::string>> Local::forward(const Delivery& delivery, std::size_t index,
                                         const ForwardGroup& group)
{
    // The recipients are new: they are mapped like any others.
    constexpr unsigned flags =
        ipc::cleanup_flag::map_addresses | ipc::cleanup_flag::bounce_errors | ipc::cleanup_flag::internal;
    CO_TRY(ipc::CleanupStream stream, co_await ipc::CleanupStream::open(*cleanup_, flags));
    stream.records() += forward_envelope(delivery, index, group);
    append_text(stream.records(),
                fmt::format("Received: by {} ({})", common().myhostname(), common().mail_name()));
    append_text(stream.records(),
                fmt::format("\tid {}; {}", stream.queue_id(), rfc5322_date(WallTime::now().seconds)));
    if (lists(params_.prepend_delivered_header(), "forward"))
        append_text(stream.records(), "Delivered-To: " + printable(external_form(group.delivered_to), true));
    ContentReader content(delivery.fd(), delivery.request().data_offset);
    const auto read_some = [&]() -> Result<bool> {
        constexpr std::size_t block = 64 * 1024;
        const std::size_t limit = stream.records().size() + block;
        while (stream.records().size() < limit) {
            TRY(const auto record, content.next());
            if (!record)
                return false;
            append_record(stream.records(), record->type, record->data);
        }
        return true;
    };
    for (bool more = true; more;) {
        CO_TRY(more, co_await offload(read_some));
        CO_TRY_VOID(co_await stream.send_some());
    }
    append_record(stream.records(), RecordType::extracted_start, "");
    append_record(stream.records(), RecordType::end, "");
    CO_TRY(const ipc::CleanupResult result, co_await stream.finish());
    if (!result.ok()) {
        const ipc::CleanupVerdict verdict = verdict_of(result);
        co_return Error(Fault::refused, result.reason.empty() ? std::string(verdict.text) : result.reason);
    }
    co_return stream.queue_id();
}

} // namespace bulkhead
