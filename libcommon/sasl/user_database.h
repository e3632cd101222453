// The users of an environment in an SQLite database: name and credentials.  Written by
// `bulkhead user`, read by saslauth; made with mode 0600 for the mail owner.  Calls block.
#pragma once

#include "base/result.h"
#include "sasl/credentials.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct sqlite3;

namespace bulkhead::sasl
{

struct UserEntry {
    std::string name;
    std::string credentials;  // parse_credentials()
    std::int64_t changed = 0; // Unix time
};

// A user name as it is stored and compared: ASCII letters in lower case.  Fault::malformed
// for empty or too long ones, control characters, blanks, and text that is not UTF-8.
Result<std::string> stored_user_name(std::string_view name);

// The database that smtpd_sasl_path stands for: an absolute path, or users.sqlite in the data
// folder; nullopt: it names tables (type:name).
std::optional<std::string> user_database_path(const std::string& sasl_path,
                                              const std::string& data_directory);

class UserDatabase
{
public:
    enum class Mode { read, write };

    // write makes the file when it is missing.  A missing file, read: Fault::not_found.
    static Result<UserDatabase> open(const std::string& path, Mode mode);

    // nullopt: no such user.  Safe from several threads.
    Result<std::optional<UserEntry>> find(std::string_view name) const;
    Result<std::vector<UserEntry>> list() const;

    // Nobody has no credentials of this scheme ("SCRAM-SHA-256"), and there is somebody.
    Result<bool> all_have(std::string_view scheme) const;

    // False: there is one already (add), there is none (change, remove).
    Result<bool> add(std::string_view name, const Credentials& credentials);
    Result<bool> change(std::string_view name, const Credentials& credentials);
    Result<bool> remove(std::string_view name);

private:
    struct Close {
        void operator()(sqlite3* database) const;
    };
    explicit UserDatabase(std::unique_ptr<sqlite3, Close> database) : database_(std::move(database)) {}
    Result<bool> alter(const char* sql, std::string_view name, const Credentials* credentials);

    std::unique_ptr<sqlite3, Close> database_;
};

} // namespace bulkhead::sasl
