// What is known of SASL mechanisms by their names, and what a configuration demands of
// them (smtpd_sasl_security_options and its like).  Pure.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::sasl
{

// Bits of a mechanism's properties, in the sense of the words that demand or forbid them.
namespace property
{
inline constexpr unsigned plaintext = 1;  // the password itself crosses the wire
inline constexpr unsigned anonymous = 2;  // anybody is let in
inline constexpr unsigned active = 4;     // open to an active attack
inline constexpr unsigned dictionary = 8; // open to a search for weak passwords by one who listens
inline constexpr unsigned forward_secrecy = 16;
inline constexpr unsigned mutual_auth = 32; // the server proves that it knows the password
} // namespace property

struct Mechanism {
    std::string name; // upper case
    unsigned properties = 0;

    bool operator==(const Mechanism&) const = default;
};

// The properties of a mechanism of this name; of a name that nobody knows: plaintext.
unsigned properties_of(std::string_view mechanism);

// The words of such a parameter.
struct Demands {
    unsigned forbidden = 0;
    unsigned required = 0;

    bool allow(unsigned properties) const
    {
        return (properties & forbidden) == 0 && (properties & required) == required;
    }
};

// noplaintext, noanonymous, noactive, nodictionary, forward_secrecy, mutual_auth in any
// case; Fault::config names a word that is none of them.
Result<Demands> parse_security_options(const std::vector<std::string>& words);

// A name as RFC 4422, section 3.1 has it, in any case: up to 20 letters, digits, - and _.
bool is_mechanism_name(std::string_view text);
std::string upper(std::string_view text);

} // namespace bulkhead::sasl
