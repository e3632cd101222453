#include "command_words.h"

#include "base/text.h"
#include "config/expand.h"
#include "mail/address.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::array<std::string_view, 6> recipient_names = {
    "recipient", "original_recipient", "user", "extension", "mailbox", "domain"};

// What the queue file calls it.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> attribute_names = {{
    {"client_address", "log_client_address"},
    {"client_helo", "log_helo_name"},
    {"client_hostname", "log_client_name"},
    {"client_port", "log_client_port"},
    {"client_protocol", "log_protocol_name"},
    {"sasl_method", "sasl_method"},
    {"sasl_sender", "sasl_sender"},
    {"sasl_username", "sasl_username"},
}};

constexpr std::array<std::string_view, 5> message_names = {"nexthop", "queue_id", "sender", "size", "envid"};

bool speaks_of_recipients(std::string_view word)
{
    return std::ranges::any_of(referenced_names(word), [](const std::string& name) {
        return std::ranges::find(recipient_names, name) != recipient_names.end();
    });
}

bool is_known(std::string_view name)
{
    return std::ranges::find(recipient_names, name) != recipient_names.end() ||
           std::ranges::find(message_names, name) != message_names.end() ||
           std::ranges::any_of(attribute_names, [&](const auto& row) { return row.first == name; });
}

std::string folded(std::string_view address, const PipeFlags& flags)
{
    const AddressParts parts = split_address(address);
    std::string out = flags.fold_user ? lower(parts.local) : std::string(parts.local);
    if (parts.has_domain)
        out += "@" + (flags.fold_domain ? lower(parts.domain) : std::string(parts.domain));
    return out;
}

std::string shown(std::string_view address, const PipeFlags& flags)
{
    return flags.quote ? external_form(address) : std::string(address);
}

class Words
{
public:
    Words(const PipeAttributes& attributes, const PipeMessage& message, std::string_view delimiter)
        : attributes_(attributes), message_(message), delimiter_(delimiter)
    {
    }

    Result<std::string> expanded(std::string_view word, const PipeRecipient* recipient) const
    {
        const auto source = [&](std::string_view name) { return value(name, recipient); };
        return expand_once(word, source);
    }

private:
    std::optional<std::string> value(std::string_view name, const PipeRecipient* recipient) const
    {
        const PipeFlags& flags = attributes_.flags;
        if (name == "nexthop")
            return flags.fold_domain ? lower(message_.nexthop) : message_.nexthop;
        if (name == "queue_id")
            return message_.queue_id;
        if (name == "sender")
            return shown_sender(attributes_, message_);
        if (name == "size")
            return std::to_string(message_.size);
        if (name == "envid")
            return message_.envelope_id;
        for (const auto& [ours, stored] : attribute_names)
            if (ours == name)
                return attribute(stored);
        return recipient ? of_recipient(name, *recipient) : std::nullopt;
    }

    std::string attribute(std::string_view name) const
    {
        std::string value;
        for (const auto& [key, text] : message_.attributes)
            if (key == name)
                value = text;
        return value;
    }

    std::optional<std::string> of_recipient(std::string_view name, const PipeRecipient& recipient) const
    {
        const PipeFlags& flags = attributes_.flags;
        if (name == "original_recipient")
            return shown(recipient.original.empty() ? recipient.address : recipient.original, flags);
        const std::string address = folded(recipient.address, flags);
        if (name == "recipient")
            return shown(address, flags);
        const AddressParts parts = split_address(address);
        if (name == "domain")
            return std::string(parts.domain);
        if (name == "mailbox")
            return std::string(parts.local);
        const LocalParts local = split_extension(parts.local, delimiter_);
        if (name == "user")
            return std::string(local.user);
        if (name == "extension")
            return std::string(local.extension);
        return std::nullopt;
    }

    const PipeAttributes& attributes_;
    const PipeMessage& message_;
    std::string_view delimiter_;
};

} // namespace

Result<> check_command_words(const std::vector<std::string>& words)
{
    const auto nothing = [](std::string_view) { return std::optional<std::string>(); };
    for (const std::string& word : words) {
        for (const std::string& name : referenced_names(word))
            if (!is_known(name))
                return Error{Fault::config, fmt::format("argv=: unknown macro name: {}", printable(name))};
        if (const auto tried = expand_once(word, nothing); !tried)
            return Error{Fault::config, "argv=: " + tried.error().context};
    }
    return {};
}

Result<std::vector<std::string>> command_words(const PipeAttributes& attributes, const PipeMessage& message,
                                               std::string_view recipient_delimiter)
{
    const Words expansion(attributes, message, recipient_delimiter);
    std::vector<std::string> words;
    for (const std::string& word : attributes.words) {
        if (!speaks_of_recipients(word)) {
            TRY(std::string text, expansion.expanded(word, nullptr));
            words.push_back(std::move(text));
            continue;
        }
        for (const PipeRecipient& recipient : message.recipients) {
            TRY(std::string text, expansion.expanded(word, &recipient));
            words.push_back(std::move(text));
        }
    }
    return words;
}

std::string shown_sender(const PipeAttributes& attributes, const PipeMessage& message)
{
    return message.sender.empty() ? attributes.null_sender : shown(message.sender, attributes.flags);
}

} // namespace bulkhead
