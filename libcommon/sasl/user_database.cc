#include "sasl/user_database.h"

#include "base/text.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

namespace bulkhead::sasl
{

namespace
{

constexpr int busy_milliseconds = 5'000; // another process writes
constexpr std::size_t name_limit = 255;

constexpr const char* schema = "CREATE TABLE IF NOT EXISTS users ("
                               "name TEXT PRIMARY KEY NOT NULL, credentials TEXT NOT NULL, "
                               "changed INTEGER NOT NULL) WITHOUT ROWID";

Error failed(sqlite3* database, std::string_view what)
{
    return {Fault::broken, fmt::format("user database: {}: {}", what, ::sqlite3_errmsg(database))};
}

// A prepared statement; text that is bound must outlive it.
class Statement
{
public:
    static Result<Statement> prepare(sqlite3* database, const char* sql)
    {
        sqlite3_stmt* made = nullptr;
        if (::sqlite3_prepare_v2(database, sql, -1, &made, nullptr) != SQLITE_OK)
            return failed(database, "prepare");
        return Statement(database, made);
    }

    void bind(int at, std::string_view text)
    {
        (void)::sqlite3_bind_text(statement_.get(), at, text.data(), static_cast<int>(text.size()),
                                  SQLITE_STATIC);
    }
    void bind(int at, std::int64_t number) { (void)::sqlite3_bind_int64(statement_.get(), at, number); }

    // True: a row; false: the end.
    Result<bool> step()
    {
        const int status = ::sqlite3_step(statement_.get());
        if (status == SQLITE_ROW)
            return true;
        if (status == SQLITE_DONE)
            return false;
        return failed(database_, "query");
    }

    UserEntry entry() const
    {
        UserEntry entry;
        entry.name = text(0);
        entry.credentials = text(1);
        entry.changed = ::sqlite3_column_int64(statement_.get(), 2);
        return entry;
    }

private:
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const { ::sqlite3_finalize(statement); }
    };
    Statement(sqlite3* database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}

    std::string text(int column) const
    {
        const auto* bytes = ::sqlite3_column_text(statement_.get(), column);
        const auto size = static_cast<std::size_t>(::sqlite3_column_bytes(statement_.get(), column));
        return bytes == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(bytes), size);
    }

    sqlite3* database_;
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

} // namespace

Result<std::string> stored_user_name(std::string_view name)
{
    const auto bad = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; };
    if (name.empty() || name.size() > name_limit || std::ranges::any_of(name, bad) || !is_valid_utf8(name))
        return Error{Fault::malformed, fmt::format("bad user name \"{}\"", printable(name, true))};
    return lower(name);
}

std::optional<std::string> user_database_path(const std::string& sasl_path, const std::string& data_directory)
{
    if (sasl_path.starts_with('/'))
        return sasl_path;
    // The default, and the sockets of smtpd_sasl_type = dovecot, name no users.
    const bool names_socket = sasl_path.starts_with("inet:") || sasl_path.starts_with("unix:");
    if (sasl_path.find(':') == std::string::npos || names_socket)
        return data_directory + "/users.sqlite";
    return std::nullopt;
}

void UserDatabase::Close::operator()(sqlite3* database) const
{
    ::sqlite3_close(database);
}

Result<UserDatabase> UserDatabase::open(const std::string& path, Mode mode)
{
    if (mode == Mode::read && ::access(path.c_str(), F_OK) != 0)
        return Error{Fault::not_found, fmt::format("{}: no user database yet (bulkhead user add)", path)};
    if (mode == Mode::write) { // not with the mode that sqlite would choose
        const int fd = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return system_error("open " + path);
        ::close(fd);
    }
    const int flags =
        (mode == Mode::read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_FULLMUTEX;
    sqlite3* made = nullptr;
    const int status = ::sqlite3_open_v2(path.c_str(), &made, flags, nullptr);
    std::unique_ptr<sqlite3, Close> database(made);
    if (status != SQLITE_OK)
        return Error{Fault::io, fmt::format("open {}: {}", path, ::sqlite3_errstr(status))};
    (void)::sqlite3_busy_timeout(database.get(), busy_milliseconds);
    if (mode == Mode::write && ::sqlite3_exec(database.get(), schema, nullptr, nullptr, nullptr) != SQLITE_OK)
        return failed(database.get(), path);
    return UserDatabase(std::move(database));
}

Result<std::optional<UserEntry>> UserDatabase::find(std::string_view name) const
{
    TRY(Statement statement,
        Statement::prepare(database_.get(), "SELECT name, credentials, changed FROM users WHERE name = ?"));
    statement.bind(1, name);
    TRY(const bool found, statement.step());
    if (!found)
        return std::optional<UserEntry>();
    return std::optional(statement.entry());
}

Result<std::vector<UserEntry>> UserDatabase::list() const
{
    TRY(Statement statement,
        Statement::prepare(database_.get(), "SELECT name, credentials, changed FROM users ORDER BY name"));
    std::vector<UserEntry> entries;
    for (;;) {
        TRY(const bool more, statement.step());
        if (!more)
            return entries;
        entries.push_back(statement.entry());
    }
}

Result<bool> UserDatabase::all_have(std::string_view scheme) const
{
    TRY(Statement statement,
        Statement::prepare(database_.get(), "SELECT '', '', count(*) > 0 AND count(*) = "
                                            "sum(instr(credentials, '{' || ?) > 0) FROM users"));
    statement.bind(1, scheme);
    TRY_VOID(statement.step());
    return statement.entry().changed != 0;
}

Result<bool> UserDatabase::alter(const char* sql, std::string_view name, const Credentials* credentials)
{
    const std::string text = credentials != nullptr ? credentials->text() : std::string();
    TRY(Statement statement, Statement::prepare(database_.get(), sql));
    statement.bind(1, name);
    if (credentials != nullptr) {
        statement.bind(2, text);
        statement.bind(3, static_cast<std::int64_t>(std::time(nullptr)));
    }
    TRY_VOID(statement.step());
    return ::sqlite3_changes(database_.get()) > 0;
}

Result<bool> UserDatabase::add(std::string_view name, const Credentials& credentials)
{
    return alter("INSERT INTO users (name, credentials, changed) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                 name, &credentials);
}

Result<bool> UserDatabase::change(std::string_view name, const Credentials& credentials)
{
    return alter("UPDATE users SET credentials = ?2, changed = ?3 WHERE name = ?1", name, &credentials);
}

Result<bool> UserDatabase::remove(std::string_view name)
{
    return alter("DELETE FROM users WHERE name = ?1", name, nullptr);
}

} // namespace bulkhead::sasl
