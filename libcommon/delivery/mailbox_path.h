// From a base folder and a path below it (virtual_mailbox_base and a table's value, a home
// and home_mailbox) to the folder of a mailbox, step by step, without
// ever following a symbolic link or leaving the base.
#pragma once

#include "delivery/act_as.h"

#include "base/result.h"
#include "base/unique_fd.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct MailboxPath {
    std::string base;                 // an existing folder, absolute
    std::vector<std::string> folders; // below it
    std::string file;                 // empty: a Maildir
    std::string shown;                // the whole, for messages

    bool is_maildir() const { return file.empty(); }

    // Fault::config: no absolute base, an empty value, "..", bytes that no path has.
    static Result<MailboxPath> parse(std::string_view base, std::string_view value);
};

// The folder that holds the mailbox; missing ones below the base are made with
// mode 0700.  Call it as the mailbox's owner.  Fault::refused for a symbolic link.
Result<UniqueFd> open_folder(const MailboxPath& path);

// One folder below another, made when missing.
Result<UniqueFd> open_or_make_folder(int parent, const std::string& name);

// The entries of a folder are on disk.
Result<> sync_folder(int folder);

} // namespace bulkhead
