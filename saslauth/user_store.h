// Where the users are: an SQLite database that bulkhead user writes, or lookup tables.
#pragma once

#include "params.h"

#include "sasl/server_login.h"
#include "sasl/user_database.h"
#include "table/table.h"

#include <sys/stat.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

class UserStore final : public sasl::UserSource
{
public:
    // Opens tables: before the jail.  A database may be missing, or come later.
    static std::unique_ptr<UserStore> open(const SaslAuthParams& params);

    Result<std::optional<sasl::StoredUser>> find(const std::string& user) override;
    Result<std::vector<std::string>> owners_of(const std::string& token) override;

    // Asks the database.
    sasl::UserAbilities abilities();

    // A table has changed: the worker should hand over.
    bool is_stale() const { return tables_.is_stale() || tokens_.is_stale(); }

private:
    UserStore() = default;
    Result<std::optional<std::string>> stored(const std::string& name);
    Result<std::shared_ptr<const sasl::UserDatabase>> database();

    std::string path_; // of the database; empty: tables
    std::string realm_;
    TableList tables_;
    TableList tokens_;
    std::mutex opening_;
    std::shared_ptr<const sasl::UserDatabase> database_; // shared with the look-ups under way
    struct stat identity_{};                             // of the file that is open
};

} // namespace bulkhead
