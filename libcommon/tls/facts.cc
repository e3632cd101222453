#include "tls/facts.h"

#include <fmt/format.h>

namespace bulkhead::tls
{

std::string cipher_text(const Facts& facts)
{
    return fmt::format("{} with cipher {} ({}/{} bits)", facts.protocol, facts.cipher, facts.used_bits,
                       facts.cipher_bits);
}

std::string exchange_text(const Facts& facts)
{
    std::string text;
    const auto add = [&](std::string_view name, const std::string& value) {
        if (!value.empty())
            text += fmt::format("{}{} {}", text.empty() ? "" : " ", name, value);
    };
    add("key-exchange", facts.key_exchange);
    add("server-signature", facts.server_signature);
    add("server-digest", facts.server_digest);
    add("client-signature", facts.client_signature);
    add("client-digest", facts.client_digest);
    return text;
}

std::string summary(const Facts& facts)
{
    const std::string exchange = exchange_text(facts);
    return exchange.empty() ? cipher_text(facts) : cipher_text(facts) + ' ' + exchange;
}

} // namespace bulkhead::tls
