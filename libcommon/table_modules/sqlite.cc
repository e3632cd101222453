// sqlite: tables: an SQLite database is opened read-only before the jail, and asked through this one
// connection for as long as the process lives.
#include "table/server_module.h"
#include "table_modules/sql_query.h"

#include <sqlite3.h>

namespace bulkhead
{

namespace
{

constexpr int busy_milliseconds = 5000; // another program writes
constexpr int steps_between_checks = 10000;

class SqliteConnection final : public ServerConnection
{
public:
    explicit SqliteConnection(sqlite3* database) : database_(database) {}
    ~SqliteConnection() override { ::sqlite3_close(database_); }

    bool quote(std::size_t, std::string_view text, std::string& out) override
    {
        for (const char c : text) {
            if (c == '\'')
                out += '\'';
            out += c;
        }
        return true;
    }

    ServerAnswer ask(const std::vector<std::string>& parts, std::chrono::steady_clock::time_point deadline,
                     ServerValues& values, std::string& reason) override
    {
        deadline_ = deadline;
        ::sqlite3_progress_handler(database_, steps_between_checks, &SqliteConnection::is_over, this);
        const std::string& query = parts.front();
        const char* rest = query.c_str();
        const char* const end = rest + query.size();
        while (rest < end) {
            sqlite3_stmt* statement = nullptr;
            const char* const begin = rest;
            int status =
                ::sqlite3_prepare_v2(database_, begin, static_cast<int>(end - begin), &statement, &rest);
            if (status == SQLITE_OK && statement != nullptr)
                status = take_rows(statement, values, reason);
            else if (status == SQLITE_OK)
                status = SQLITE_DONE; // blanks or a comment
            ::sqlite3_finalize(statement);
            if (status == SQLITE_DONE)
                continue;
            if (reason.empty())
                reason = ::sqlite3_errmsg(database_);
            return ServerAnswer::failed;
        }
        return ServerAnswer::values;
    }

private:
    static int is_over(void* self)
    {
        return std::chrono::steady_clock::now() > static_cast<SqliteConnection*>(self)->deadline_;
    }

    // The first column counts, unlike with the other SQL tables: so it is in Postfix.
    static int take_rows(sqlite3_stmt* statement, ServerValues& values, std::string& reason)
    {
        for (;;) {
            const int status = ::sqlite3_step(statement);
            if (status != SQLITE_ROW)
                return status;
            const auto* text = ::sqlite3_column_text(statement, 0);
            const auto size = static_cast<std::size_t>(::sqlite3_column_bytes(statement, 0));
            if (text != nullptr && !values.add({reinterpret_cast<const char*>(text), size})) {
                reason = "the answer is too large";
                return SQLITE_TOOBIG;
            }
        }
    }

    sqlite3* database_;
    std::chrono::steady_clock::time_point deadline_;
};

class SqliteDriver final : public ServerDriver
{
public:
    explicit SqliteDriver(ServerSettings& settings)
        : path_(settings.text("dbpath")), query_(sql_query(settings))
    {
        if (path_.empty())
            settings.complain("dbpath", "is missing");
    }

    std::vector<ServerQuestion> questions() const override { return {query_}; }
    std::vector<std::string> hosts() const override { return {"unix:" + path_}; }
    bool is_file() const override { return true; }

    std::unique_ptr<ServerConnection> connect(const ServerHost&, std::chrono::steady_clock::time_point,
                                              std::string& reason) override
    {
        sqlite3* database = nullptr;
        const int status =
            ::sqlite3_open_v2(path_.c_str(), &database, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
        auto connection = std::make_unique<SqliteConnection>(database);
        if (database == nullptr) {
            reason = "out of memory";
            return nullptr;
        }
        ::sqlite3_busy_timeout(database, busy_milliseconds);
        // Reads the schema now: with a write-ahead log this opens the files that belong to it.
        if (status == SQLITE_OK && ::sqlite3_exec(database, "SELECT count(*) FROM sqlite_master", nullptr,
                                                  nullptr, nullptr) == SQLITE_OK)
            return connection;
        reason = ::sqlite3_errmsg(database);
        return nullptr;
    }

private:
    std::string path_;
    ServerQuestion query_;
};

std::unique_ptr<ServerDriver> open_sqlite_driver(ServerSettings& settings)
{
    return std::make_unique<SqliteDriver>(settings);
}

} // namespace

} // namespace bulkhead

BH_SERVER_MODULE(bulkhead::open_sqlite_driver)
