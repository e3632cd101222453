// mysql: tables: MySQL and MariaDB by way of libmariadb.
#include "table/server_module.h"
#include "table_modules/sql_query.h"

#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>

#include <cstdlib>
#include <optional>

namespace bulkhead
{

namespace
{

// Of <mysql/client_plugin.h>, which wants headers that are not installed.
constexpr int authentication_plugin = 2;

// Everything that the client library says itself, and the server's farewells.
bool is_lost(unsigned error)
{
    return (error >= CR_MIN_ERROR && error <= CR_MAX_ERROR) || error == ER_SERVER_SHUTDOWN ||
           error == ER_NORMAL_SHUTDOWN || error == ER_CONNECTION_KILLED ||
           error == ER_NEW_ABORTING_CONNECTION;
}

class MysqlConnection final : public ServerConnection
{
public:
    MysqlConnection(MYSQL* server, bool wants_result) : server_(server), wants_result_(wants_result) {}
    ~MysqlConnection() override { ::mysql_close(server_); }

    bool quote(std::size_t, std::string_view text, std::string& out) override
    {
        const std::size_t begin = out.size();
        out.resize(begin + 2 * text.size() + 1);
        const unsigned long size =
            ::mysql_real_escape_string(server_, out.data() + begin, text.data(), text.size());
        const bool is_quoted = size <= 2 * text.size();
        out.resize(is_quoted ? begin + size : begin);
        return is_quoted;
    }

    ServerAnswer ask(const std::vector<std::string>& parts, std::chrono::steady_clock::time_point deadline,
                     ServerValues& values, std::string& reason) override
    {
        const unsigned limit = static_cast<unsigned>(seconds_until(deadline));
        ::mysql_optionsv(server_, MYSQL_OPT_READ_TIMEOUT, &limit);
        if (::mysql_real_query(server_, parts.front().data(), parts.front().size()) != 0)
            return failure(reason);
        // A stored procedure's own status comes as one more answer without rows.
        std::size_t result_sets = 0;
        std::optional<ServerAnswer> answer;
        for (int status = 0; status == 0; status = ::mysql_next_result(server_)) {
            MYSQL_RES* const result = ::mysql_store_result(server_);
            if (result != nullptr) {
                if (++result_sets == 1 && !take_rows(result, values))
                    answer = refuse("the answer is too large", reason);
                ::mysql_free_result(result);
            }
            if (::mysql_errno(server_) != 0)
                return failure(reason);
            if (!::mysql_more_results(server_))
                break;
        }
        if (::mysql_errno(server_) != 0)
            return failure(reason);
        if (result_sets > 1)
            answer = refuse("the query gives more than one result set", reason);
        if (result_sets == 0 && wants_result_)
            answer = refuse("the query gives no result set (require_result_set)", reason);
        return answer.value_or(ServerAnswer::values);
    }

private:
    static bool take_rows(MYSQL_RES* result, ServerValues& values)
    {
        const unsigned columns = ::mysql_num_fields(result);
        while (const MYSQL_ROW row = ::mysql_fetch_row(result)) {
            const unsigned long* const sizes = ::mysql_fetch_lengths(result);
            for (unsigned column = 0; column < columns; ++column)
                if (row[column] != nullptr && !values.add({row[column], sizes[column]}))
                    return false;
        }
        return true;
    }

    ServerAnswer failure(std::string& reason)
    {
        reason = ::mysql_error(server_);
        return is_lost(::mysql_errno(server_)) ? ServerAnswer::lost : ServerAnswer::failed;
    }

    static ServerAnswer refuse(std::string_view why, std::string& reason)
    {
        reason = why;
        return ServerAnswer::failed;
    }

    MYSQL* server_;
    bool wants_result_;
};

class MysqlDriver final : public ServerDriver
{
public:
    explicit MysqlDriver(ServerSettings& settings)
        : query_(sql_query(settings)), hosts_(settings.list("hosts", "localhost")),
          user_(settings.text("user")), password_(settings.text("password")),
          database_(settings.text("dbname")), charset_(settings.text("charset", "utf8mb4")),
          option_file_(settings.text("option_file")), option_group_(settings.text("option_group", "client")),
          cert_(settings.text("tls_cert_file")), key_(settings.text("tls_key_file")),
          ca_file_(settings.text("tls_CAfile")), ca_path_(settings.text("tls_CApath")),
          ciphers_(settings.text("tls_ciphers")), verify_(settings.flag("tls_verify_cert", false)),
          wants_result_(settings.flag("require_result_set", true))
    {
        if (hosts_.empty())
            hosts_.emplace_back("localhost");
        ::mysql_library_init(0, nullptr, nullptr);
        load_plugins();
    }

    std::vector<ServerQuestion> questions() const override { return {query_}; }
    std::vector<std::string> hosts() const override { return hosts_; }

    std::unique_ptr<ServerConnection> connect(const ServerHost& host,
                                              std::chrono::steady_clock::time_point deadline,
                                              std::string& reason) override
    {
        // "localhost" is the library's word for its usual UNIX socket; a certificate is for the name.
        const bool by_name = verify_ || host.name == "localhost" || host.addresses.empty();
        const std::vector<std::string> names = by_name ? std::vector{host.name} : host.addresses;
        for (const std::string& name : names)
            if (auto connection = connect_to(host, name, deadline, reason))
                return connection;
        return nullptr;
    }

private:
    static const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

    std::unique_ptr<ServerConnection> connect_to(const ServerHost& host, const std::string& name,
                                                 std::chrono::steady_clock::time_point deadline,
                                                 std::string& reason) const
    {
        MYSQL* const server = ::mysql_init(nullptr);
        if (server == nullptr) {
            reason = "out of memory";
            return nullptr;
        }
        auto connection = std::make_unique<MysqlConnection>(server, wants_result_);
        set_options(server, deadline);
        unsigned port = 0;
        if (!host.port.empty())
            port = static_cast<unsigned>(std::strtoul(host.port.c_str(), nullptr, 10));
        if (::mysql_real_connect(server, or_null(name), or_null(user_), or_null(password_),
                                 or_null(database_), port, or_null(host.socket),
                                 CLIENT_MULTI_RESULTS) != nullptr)
            return connection;
        reason = ::mysql_error(server);
        return nullptr;
    }

    // Plugins are loaded from files when a server asks for them: too late in a jail.
    static void load_plugins()
    {
        MYSQL* const any = ::mysql_init(nullptr);
        if (any == nullptr)
            return;
        for (const char* name : {"caching_sha2_password", "sha256_password", "client_ed25519"})
            ::mysql_client_find_plugin(any, name, authentication_plugin);
        ::mysql_close(any);
    }

    void set_options(MYSQL* server, std::chrono::steady_clock::time_point deadline) const
    {
        const unsigned limit = static_cast<unsigned>(seconds_until(deadline));
        const unsigned no = 0;
        for (const auto option : {MYSQL_OPT_CONNECT_TIMEOUT, MYSQL_OPT_READ_TIMEOUT, MYSQL_OPT_WRITE_TIMEOUT})
            ::mysql_optionsv(server, option, &limit);
        ::mysql_optionsv(server, MYSQL_OPT_LOCAL_INFILE, &no);
        ::mysql_optionsv(server, MYSQL_SET_CHARSET_NAME, charset_.c_str());
        if (!option_file_.empty())
            ::mysql_optionsv(server, MYSQL_READ_DEFAULT_FILE, option_file_.c_str());
        if (!option_group_.empty())
            ::mysql_optionsv(server, MYSQL_READ_DEFAULT_GROUP, option_group_.c_str());
        if (!cert_.empty() || !key_.empty() || !ca_file_.empty() || !ca_path_.empty() || !ciphers_.empty())
            ::mysql_ssl_set(server, or_null(key_), or_null(cert_), or_null(ca_file_), or_null(ca_path_),
                            or_null(ciphers_));
        if (verify_) {
            const my_bool yes = 1;
            ::mysql_optionsv(server, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
        }
    }

    ServerQuestion query_;
    std::vector<std::string> hosts_;
    std::string user_;
    std::string password_;
    std::string database_;
    std::string charset_;
    std::string option_file_;
    std::string option_group_;
    std::string cert_;
    std::string key_;
    std::string ca_file_;
    std::string ca_path_;
    std::string ciphers_;
    bool verify_;
    bool wants_result_;
};

std::unique_ptr<ServerDriver> open_mysql_driver(ServerSettings& settings)
{
    return std::make_unique<MysqlDriver>(settings);
}

} // namespace

} // namespace bulkhead

BH_SERVER_MODULE(bulkhead::open_mysql_driver)
