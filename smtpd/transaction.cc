#include "transaction.h"

#include "login.h"

#include "base/dsn_flags.h"
#include "mail/date.h"
#include "spool/record.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// Linux's AF_INET and AF_INET6, as queue files have them.
constexpr std::string_view family_v4 = "2";
constexpr std::string_view family_v6 = "10";

std::string_view encoding_of(BodyType body)
{
    switch (body) {
    case BodyType::eight_bit_mime:
        return "8bit";
    case BodyType::seven_bit:
        return "7bit";
    case BodyType::none:
        break;
    }
    return {};
}

void append_if_set(std::string& records, std::string_view name, std::string_view value)
{
    if (!value.empty())
        append_attribute(records, name, value);
}

// What log lines and the next hop are told of the client.
void append_origin(std::string& records, const ClientFacts& client)
{
    if (client.forwarded != nullptr) {
        const Forwarded& origin = *client.forwarded;
        append_if_set(records, "log_ident", origin.ident);
        append_if_set(records, "log_client_name", origin.name);
        append_if_set(records, "log_client_address", origin.address);
        append_if_set(records, "log_client_port", origin.port);
        append_if_set(records, "log_message_origin", origin.label());
        append_if_set(records, "log_helo_name", origin.helo);
        append_if_set(records, "log_protocol_name", origin.protocol);
        return;
    }
    const Peer& peer = client.peer;
    append_attribute(records, "log_client_name", peer.name);
    append_attribute(records, "log_client_address", peer.address);
    append_attribute(records, "log_client_port", std::to_string(peer.port));
    append_attribute(records, "log_message_origin", peer.label());
    append_if_set(records, "log_helo_name", client.helo);
    append_attribute(records, "log_protocol_name", client.protocol);
}

void append_client(std::string& records, const ClientFacts& client)
{
    const Peer& peer = client.peer;
    const std::string port = std::to_string(peer.port);
    append_origin(records, client);
    append_attribute(records, "client_name", peer.name);
    append_attribute(records, "reverse_client_name", peer.reverse_name);
    append_attribute(records, "client_address", peer.address);
    append_attribute(records, "client_port", port);
    append_attribute(records, "client_address_type", peer.v6 ? family_v6 : family_v4);
    append_if_set(records, "server_address", peer.server_address);
    append_attribute(records, "server_port", std::to_string(peer.server_port));
    append_if_set(records, "helo_name", client.helo);
    append_attribute(records, "protocol_name", client.protocol);
}

} // namespace

void append_envelope(std::string& records, const Transaction& transaction, const ClientFacts& client,
                     bool with_client)
{
    const MailCommand& mail = transaction.mail;
    append_record(records, RecordType::arrival_time,
                  fmt::format("{} {}", transaction.arrival.seconds, transaction.arrival.microseconds));
    append_if_set(records, "envelope_id", mail.envid);
    if (mail.ret != Ret::none)
        append_attribute(records, "ret_flags", std::to_string(static_cast<int>(mail.ret)));
    append_attribute(records, "rewrite_context", client.rewrite_headers ? "local" : "remote");
    append_if_set(records, "sasl_method", client.sasl_method);
    append_if_set(records, "sasl_username", client.sasl_username);
    append_if_set(records, "sasl_sender", client.sasl_sender);
    append_record(records, RecordType::sender, mail.sender.address);
    append_if_set(records, "encoding", encoding_of(mail.body));
    if (mail.verp)
        append_record(records, RecordType::verp, *mail.verp);
    if (with_client)
        append_client(records, client);
}

std::string login_attributes(const ClientFacts& client)
{
    if (client.sasl_username.empty())
        return {};
    std::string text = fmt::format(", sasl_method={}, sasl_username={}", client.sasl_method,
                                   shown_login(client.sasl_username));
    if (!client.sasl_sender.empty())
        text += fmt::format(", sasl_sender=<{}>", client.sasl_sender == "<>" ? "" : client.sasl_sender);
    return text;
}

void append_recipient(std::string& records, const RcptCommand& command, bool with_original)
{
    if (command.notify != 0)
        append_attribute(records, "notify_flags", std::to_string(command.notify));
    if (command.orcpt)
        append_attribute(records, "dsn_orig_rcpt", command.orcpt->text());
    if (with_original)
        append_record(records, RecordType::original_recipient, command.recipient.address);
    append_record(records, RecordType::recipient, command.recipient.address);
}

void append_actions(std::string& records, const MessageActions& actions)
{
    if (!actions.filter.empty())
        append_record(records, RecordType::filter, actions.filter);
    if (!actions.redirect.empty())
        append_record(records, RecordType::redirect, actions.redirect);
    for (const std::string& address : actions.bcc) {
        append_attribute(records, "notify_flags", std::to_string(notify::never));
        append_record(records, RecordType::recipient, address);
    }
}

void append_received(std::string& records, const ClientFacts& client, const ReceivedFacts& facts)
{
    const Peer& peer = client.peer;
    append_text(records,
                fmt::format("Received: from {} ({} [{}])", client.helo.empty() ? peer.name : client.helo,
                            peer.name, peer.literal()));
    for (const std::string& line : facts.comments)
        append_text(records, '\t' + line);
    const std::string date = rfc5322_date(facts.time);
    const std::string id = facts.queue_id.empty() ? "" : fmt::format(" id {}", facts.queue_id);
    const std::string by =
        fmt::format("\tby {} ({}) with {}{}", facts.host, facts.mail_name, client.protocol, id);
    if (facts.recipient.empty()) {
        append_text(records, by + ';');
        append_text(records, '\t' + date);
        return;
    }
    append_text(records, by);
    append_text(records, fmt::format("\tfor <{}>; {}", external_form(facts.recipient), date));
}

} // namespace bulkhead
