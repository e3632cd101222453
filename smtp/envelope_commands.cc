// The commands that carry an envelope: MAIL, RCPT and XFORWARD with their parameters.
#include "transaction.h"

#include "base/text.h"
#include "dialogue.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "spool/size_record.h"

#include <fmt/format.h>

namespace bulkhead
{

using namespace dialogue;

namespace
{

bool needs_smtputf8(const ipc::DeliveryRequest& request)
{
    return (request.send_options & send_option::smtputf8_requested) &&
           (request.send_options &
            (send_option::smtputf8_header | send_option::smtputf8_sender | send_option::smtputf8_recipient));
}

} // namespace

// Why this server cannot have this message at all, known before a word is said.
std::optional<DeliveryStatus> SmtpSession::unsuitable(const ipc::DeliveryRequest& request) const
{
    if (capabilities_.size_limit > 0 && request.content_length > 0 &&
        static_cast<std::uint64_t>(request.content_length) > capabilities_.size_limit)
        return message_too_large(peer_, request.content_length, capabilities_.size_limit);
    if (needs_smtputf8(request) && !capabilities_.smtputf8)
        return smtputf8_not_offered(peer_);
    return std::nullopt;
}

std::string SmtpSession::envelope_address(const std::string& address) const
{
    return params_.quote_envelope() ? external_form(address) : address;
}

std::string SmtpSession::mail_command(const OutgoingEnvelope& envelope) const
{
    const ipc::DeliveryRequest& request = *envelope.request;
    std::string command = fmt::format("MAIL FROM:<{}>", envelope_address(envelope.sender()));
    if (capabilities_.size && request.content_length > 0)
        command += fmt::format(" SIZE={}", request.content_length);
    if (capabilities_.eightbitmime && request.encoding == "8bit")
        command += " BODY=8BITMIME";
    if (capabilities_.smtputf8 && needs_smtputf8(request))
        command += " SMTPUTF8";
    if (params_.dummy_auth() && login_.is_wanted() && !capabilities_.auth.empty())
        command += " AUTH=<>";
    if (capabilities_.dsn) {
        const std::string_view ret = request.ret_flags == dsn_ret::full      ? ret_text(Ret::full)
                                     : request.ret_flags == dsn_ret::headers ? ret_text(Ret::headers)
                                                                             : "";
        if (!ret.empty())
            command += fmt::format(" RET={}", ret);
        if (!request.envelope_id.empty())
            command += fmt::format(" ENVID={}", encode_xtext(request.envelope_id));
    }
    return command;
}

std::string SmtpSession::rcpt_command(const OutgoingEnvelope& envelope, std::size_t index) const
{
    const ipc::DeliveryRecipient& recipient = envelope.request->recipients[index];
    std::string command = fmt::format("RCPT TO:<{}>", envelope_address(envelope.recipient(index)));
    if (capabilities_.dsn) {
        if (recipient.notify != 0)
            command += fmt::format(" NOTIFY={}", notify_text(recipient.notify));
        if (!recipient.dsn_original.empty())
            command += fmt::format(" ORCPT={}", encode_orcpt(recipient.dsn_original));
    }
    return command;
}

// Who gave us the message, as far as the server wants to know: at most two commands, each far
// below the limit of a line.
std::vector<std::string> SmtpSession::xforward_commands(const OutgoingEnvelope& envelope) const
{
    struct Attribute {
        std::string_view word;
        std::string_view name; // in the queue file
        std::size_t limit;
    };
    constexpr Attribute attributes[] = {
        {"NAME", "log_client_name", 100},  {"ADDR", "log_client_address", 100},
        {"PORT", "log_client_port", 10},   {"PROTO", "log_protocol_name", 50},
        {"HELO", "log_helo_name", 100},    {"IDENT", "log_ident", 50},
        {"SOURCE", "rewrite_context", 20},
    };
    std::vector<std::string> commands;
    std::string command;
    for (const Attribute& attribute : attributes) {
        if (attribute.word == "PROTO" && !command.empty())
            commands.push_back("XFORWARD" + std::exchange(command, {}));
        if (!capabilities_.offers_xforward(attribute.word))
            continue;
        std::string_view value;
        if (attribute.word == "SOURCE")
            value = envelope.request->rewrite_context == "local" ? "LOCAL" : "REMOTE";
        else
            for (const auto& [name, text] : envelope.attributes)
                if (name == attribute.name)
                    value = text;
        if (value.empty() && attribute.word == "IDENT")
            value = envelope.request->queue_id;
        if (value.empty())
            value = "[UNAVAILABLE]";
        command += fmt::format(" {}={}", attribute.word, encode_xtext(value.substr(0, attribute.limit)));
    }
    if (!command.empty())
        commands.push_back("XFORWARD" + command);
    return commands;
}

Task<> SmtpSession::forward_client(Transaction& transaction)
{
    if (!params_.send_xforward() || capabilities_.xforward.empty())
        co_return;
    for (std::string& command : xforward_commands(transaction.envelope)) {
        const auto reply = co_await ask(std::move(command), params_.xforward_timeout());
        if (!reply) {
            transaction.broke(reply.error(), sending_xforward);
            co_return;
        }
        if (transaction.closed_by(*reply, "XFORWARD"))
            co_return;
        if (!is_yes(*reply))
            log::warn(fmt::format("host {} said: {} (in reply to XFORWARD)", peer_.label(), reply->text));
    }
}

} // namespace bulkhead
