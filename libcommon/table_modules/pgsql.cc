// pgsql: tables: PostgreSQL by way of libpq, without blocking calls: each wait has the deadline.
#include "table/server_module.h"
#include "table_modules/sql_query.h"

#include <libpq-fe.h>
#include <poll.h>

#include <cerrno>
#include <utility>

namespace bulkhead
{

namespace
{

using Deadline = std::chrono::steady_clock::time_point;
using Settings = std::vector<std::pair<std::string, std::string>>;

std::string first_line(const char* message)
{
    std::string_view text = message != nullptr ? message : "";
    if (text.starts_with("ERROR:"))
        text.remove_prefix(text.find_first_not_of(' ', 6));
    return std::string(text.substr(0, text.find('\n')));
}

// False at the deadline.
bool wait_for(PGconn* server, short events, Deadline deadline)
{
    for (;;) {
        if (std::chrono::steady_clock::now() >= deadline)
            return false;
        pollfd ready{::PQsocket(server), events, 0};
        const int count = ::poll(&ready, 1, milliseconds_until(deadline));
        if (count > 0)
            return true;
        if (count < 0 && errno != EINTR)
            return false;
    }
}

class PgsqlConnection final : public ServerConnection
{
public:
    explicit PgsqlConnection(PGconn* server) : server_(server) {}
    ~PgsqlConnection() override { ::PQfinish(server_); }

    bool establish(Deadline deadline, const std::string& encoding, std::string& reason)
    {
        PostgresPollingStatusType state =
            ::PQstatus(server_) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
        while (state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED) {
            if (!wait_for(server_, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) {
                reason = "connecting took too long";
                return false;
            }
            state = ::PQconnectPoll(server_);
        }
        if (state != PGRES_POLLING_OK) {
            reason = first_line(::PQerrorMessage(server_));
            return false;
        }
        // Escaping depends on it: sets it in the server and in the library.
        if (::PQsetClientEncoding(server_, encoding.c_str()) != 0) {
            reason = "encoding " + encoding + ": " + first_line(::PQerrorMessage(server_));
            return false;
        }
        return ::PQsetnonblocking(server_, 1) == 0;
    }

    bool quote(std::size_t, std::string_view text, std::string& out) override
    {
        const std::size_t begin = out.size();
        out.resize(begin + 2 * text.size() + 1);
        int error = 0;
        const std::size_t size =
            ::PQescapeStringConn(server_, out.data() + begin, text.data(), text.size(), &error);
        out.resize(error == 0 ? begin + size : begin);
        return error == 0;
    }

    ServerAnswer ask(const std::vector<std::string>& parts, Deadline deadline, ServerValues& values,
                     std::string& reason) override
    {
        if (::PQsendQuery(server_, parts.front().c_str()) == 0)
            return lose(reason);
        // The last result counts, as with several statements typed at once.
        ServerAnswer answer = ServerAnswer::values;
        for (;;) {
            if (!wait_for_result(deadline, reason))
                return ServerAnswer::lost;
            PGresult* const result = ::PQgetResult(server_);
            if (result == nullptr)
                break;
            values = {};
            answer = take(result, values, reason);
            ::PQclear(result);
        }
        return ::PQstatus(server_) == CONNECTION_OK ? answer : lose(reason);
    }

private:
    bool wait_for_result(Deadline deadline, std::string& reason)
    {
        for (;;) {
            const int unsent = ::PQflush(server_);
            if (unsent < 0 || ::PQconsumeInput(server_) == 0) {
                lose(reason);
                return false;
            }
            if (unsent == 0 && ::PQisBusy(server_) == 0)
                return true;
            if (!wait_for(server_, static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN), deadline)) {
                reason = "the query took too long";
                return false;
            }
        }
    }

    ServerAnswer take(PGresult* result, ServerValues& values, std::string& reason)
    {
        switch (::PQresultStatus(result)) {
        case PGRES_TUPLES_OK:
            break;
        case PGRES_COMMAND_OK:
            reason = "the query gives no rows";
            return ServerAnswer::failed;
        default: {
            reason = first_line(::PQresultErrorMessage(result));
            // Class 57P: the server shuts down or has ended this connection.
            const char* const state = ::PQresultErrorField(result, PG_DIAG_SQLSTATE);
            const bool lost = state == nullptr || std::string_view(state).starts_with("57P");
            return lost ? ServerAnswer::lost : ServerAnswer::failed;
        }
        }
        for (int row = 0; row < ::PQntuples(result); ++row)
            for (int column = 0; column < ::PQnfields(result); ++column)
                if (::PQgetisnull(result, row, column) == 0 &&
                    !values.add({::PQgetvalue(result, row, column),
                                 static_cast<std::size_t>(::PQgetlength(result, row, column))})) {
                    reason = "the answer is too large";
                    return ServerAnswer::failed;
                }
        return ServerAnswer::values;
    }

    ServerAnswer lose(std::string& reason)
    {
        if (const std::string said = first_line(::PQerrorMessage(server_)); !said.empty() || reason.empty())
            reason = said;
        return ServerAnswer::lost;
    }

    PGconn* server_;
};

class PgsqlDriver final : public ServerDriver
{
public:
    explicit PgsqlDriver(ServerSettings& settings)
        : query_(sql_query(settings, "select_function")), hosts_(settings.list("hosts", "localhost")),
          user_(settings.text("user")), password_(settings.text("password")),
          database_(settings.text("dbname")), encoding_(settings.text("encoding", "UTF8"))
    {
        if (hosts_.empty())
            hosts_.emplace_back("localhost");
    }

    std::vector<ServerQuestion> questions() const override { return {query_}; }
    std::vector<std::string> hosts() const override { return hosts_; }

    std::unique_ptr<ServerConnection> connect(const ServerHost& host, Deadline deadline,
                                              std::string& reason) override
    {
        if (host.addresses.empty())
            return connect(settings_for(host), deadline, reason);
        for (const std::string& address : host.addresses) {
            Settings settings = settings_for(host);
            settings.emplace_back("hostaddr", address);
            if (auto connection = connect(settings, deadline, reason))
                return connection;
        }
        return nullptr;
    }

private:
    std::unique_ptr<ServerConnection> connect(const Settings& settings, Deadline deadline,
                                              std::string& reason) const
    {
        std::vector<const char*> names;
        std::vector<const char*> values;
        for (const auto& [name, value] : settings) {
            names.push_back(name.c_str());
            values.push_back(value.c_str());
        }
        names.push_back(nullptr);
        values.push_back(nullptr);
        PGconn* const server = ::PQconnectStartParams(names.data(), values.data(), 1);
        if (server == nullptr) {
            reason = "out of memory";
            return nullptr;
        }
        auto connection = std::make_unique<PgsqlConnection>(server);
        if (!connection->establish(deadline, encoding_, reason))
            return nullptr;
        return connection;
    }

    // Later ones win, and a URI is expanded where `dbname` stands.
    Settings settings_for(const ServerHost& host) const
    {
        Settings settings;
        const auto add = [&](const char* name, const std::string& value) {
            if (!value.empty())
                settings.emplace_back(name, value);
        };
        add("user", user_);
        add("password", password_);
        add("dbname", host.uri.empty() ? database_ : host.uri);
        if (host.uri.empty())
            add_place(host, settings);
        settings.emplace_back("gssencmode", "disable");
        settings.emplace_back("application_name", "bulkhead");
        return settings;
    }

    // A socket is named by its folder, or by itself: /run/postgresql/.s.PGSQL.5432.
    static void add_place(const ServerHost& host, Settings& settings)
    {
        constexpr std::string_view socket_name = "/.s.PGSQL.";
        if (host.socket.empty()) {
            settings.emplace_back("host", host.name);
            if (!host.port.empty())
                settings.emplace_back("port", host.port);
        } else if (const auto name = host.socket.rfind(socket_name); name != std::string::npos) {
            settings.emplace_back("host", host.socket.substr(0, name));
            settings.emplace_back("port", host.socket.substr(name + socket_name.size()));
        } else {
            settings.emplace_back("host", host.socket);
        }
    }

    ServerQuestion query_;
    std::vector<std::string> hosts_;
    std::string user_;
    std::string password_;
    std::string database_;
    std::string encoding_;
};

std::unique_ptr<ServerDriver> open_pgsql_driver(ServerSettings& settings)
{
    return std::make_unique<PgsqlDriver>(settings);
}

} // namespace

} // namespace bulkhead

BH_SERVER_MODULE(bulkhead::open_pgsql_driver)
