// One address that local is delivering to, on its way through aliases and .forward files,
// and what $name means for it.
#pragma once

#include "config/expand.h"
#include "delivery/command_starter.h"

#include "base/result.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// A user of the system.
struct Account {
    std::string name;
    CommandIdentity ids;
    std::string home;
    std::string shell;
};

// nullopt: there is no such user.  Fault::broken: the system cannot tell now.  May block.
Result<std::optional<Account>> find_account(const std::string& name);

// Where an address comes from: decides what |commands and /files are allowed.
enum class Source { message, alias, forward, include };
std::string_view source_name(Source source);

struct LocalRecipient {
    std::string address;      // internal form, whole
    std::string sender;       // internal form; an owner- alias has changed it
    std::string delivered_to; // what Delivered-To: says
    std::string original;     // as the message came with, internal form
    Source source = Source::message;
    bool literal = false; // \user: neither aliases nor .forward
    bool has_owner = false;
    std::vector<std::string> expanded; // "alias x", "forward y": what led here
    int depth = 0;                     // of aliases and .forward files
    // With whose rights commands and files of the alias or .forward are used.
    std::optional<CommandIdentity> rights;

    // From the address, lower case: local = user + delimiter + extension.
    std::string local;
    std::string user;
    std::string extension;
    std::string delimiter; // empty without an extension
    std::string domain;

    struct Split {
        std::string_view delimiters;
        bool owner_request_special = true;
    };
    void split(const Split& how);
};

// $user $home $shell $recipient $extension $domain $local $recipient_delimiter; bytes that are not
// in `allowed` become "_".  What it points to must outlive it.
MacroSource macros_of(const LocalRecipient& recipient, const Account* account, std::string_view delimiters,
                      std::string_view allowed);

std::string filtered(std::string_view text, std::string_view allowed);

} // namespace bulkhead
