#include "user_command.h"

#include "base/text.h"
#include "command.h"
#include "config/config.h"
#include "sasl/user_database.h"
#include "spool_environment.h"

#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <optional>
#include <string_view>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr const char* usage_text =
    R"(usage: bulkhead [-c DIR] user add NAME       [--env ENV] [--method METHOD] [--plain]
       bulkhead [-c DIR] user passwd NAME    [--env ENV] [--method METHOD] [--plain]
       bulkhead [-c DIR] user delete NAME    [--env ENV]
       bulkhead [-c DIR] user list           [--env ENV]

The password is asked for on a terminal, else it is the first line of standard input.
  --env ENV        the environment of this name (multi_instance_name; default: that of DIR)
  --method METHOD  yescrypt (default), bcrypt or sha512
  --plain          also keep the password as it is: CRAM-MD5 needs that
)";

struct Order {
    std::string_view verb;
    std::optional<std::string> name;
    std::string environment;
    std::string method = "yescrypt";
    bool plain = false;
};

int complain(int exit_code, std::string_view text)
{
    fmt::print(stderr, "bulkhead: fatal: {}\n", text);
    return exit_code;
}

std::optional<Order> parse(std::span<char*> arguments)
{
    Order order;
    if (arguments.empty())
        return std::nullopt;
    order.verb = arguments[0];
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        const std::string_view word = arguments[i];
        const bool has_value = i + 1 < arguments.size();
        if (word == "--env" && has_value)
            order.environment = arguments[++i];
        else if (word == "--method" && has_value)
            order.method = arguments[++i];
        else if (word == "--plain")
            order.plain = true;
        else if (!word.starts_with("--") && !order.name)
            order.name = word;
        else
            return std::nullopt;
    }
    return order;
}

Result<Config> load(const std::string& directory, const std::string& environment)
{
    TRY(const std::vector<std::string> directories, environment_directories(directory));
    for (const std::string& one : directories) {
        TRY(Config config, Config::load(one, {}, "bulkhead"));
        if (environment.empty() || config.get("multi_instance_name") == environment ||
            (environment == "-" && one == directory))
            return config;
    }
    return Error{Fault::not_found,
                 fmt::format("{}: no environment \"{}\"", directory, printable(environment))};
}

// The terminal shows nothing while this lives.
class HiddenInput
{
public:
    HiddenInput()
    {
        hidden_ = ::tcgetattr(STDIN_FILENO, &before_) == 0;
        termios now = before_;
        now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        hidden_ = hidden_ && ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &now) == 0;
    }
    ~HiddenInput()
    {
        if (hidden_)
            (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }
    HiddenInput(const HiddenInput&) = delete;

private:
    termios before_{};
    bool hidden_ = false;
};

std::string read_password_line()
{
    std::string line;
    for (int c = std::getchar(); c != EOF && c != '\n' && line.size() <= sasl::password_limit;
         c = std::getchar())
        line += static_cast<char>(c);
    if (line.ends_with('\r'))
        line.pop_back();
    return line;
}

Result<std::string> read_password()
{
    if (::isatty(STDIN_FILENO) == 0)
        return read_password_line();
    const HiddenInput hidden;
    const auto ask = [](const char* prompt) {
        fmt::print(stderr, "{}: ", prompt);
        std::string text = read_password_line();
        fmt::print(stderr, "\n");
        return text;
    };
    std::string first = ask("New password");
    if (ask("The same again") != first)
        return Error{Fault::refused, "the two passwords differ"};
    return first;
}

int list_users(const std::string& path)
{
    const auto users = sasl::UserDatabase::open(path, sasl::UserDatabase::Mode::read);
    if (!users && users.error().fault == Fault::not_found)
        return 0; // nobody yet
    const auto entries = users ? users->list() : Result<std::vector<sasl::UserEntry>>(users.error());
    if (!entries)
        return complain(EX_UNAVAILABLE, entries.error().context);
    for (const sasl::UserEntry& entry : *entries) {
        std::tm utc{};
        const std::time_t changed = entry.changed;
        ::gmtime_r(&changed, &utc);
        std::array<char, 32> date{};
        (void)std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
        // Schemes, without what they hold.
        std::string schemes;
        for (const std::string_view word : split(entry.credentials, " "))
            schemes += fmt::format(" {}", word.substr(1, word.find('}') - 1));
        fmt::print("{:<30} {} {}\n", printable(entry.name, true), date.data(), schemes.substr(1));
    }
    return 0;
}

int change_user(const Order& order, const std::string& path)
{
    const auto name = sasl::stored_user_name(*order.name);
    if (!name)
        return complain(EX_USAGE, name.error().context);
    sasl::Credentials credentials;
    if (order.verb != "delete") {
        const auto password = read_password();
        auto made = password ? sasl::make_credentials(*password, order.method, order.plain)
                             : Result<sasl::Credentials>(password.error());
        if (!made)
            return complain(EX_DATAERR, made.error().context);
        credentials = *std::move(made);
    }
    auto users = sasl::UserDatabase::open(path, sasl::UserDatabase::Mode::write);
    if (!users)
        return complain(EX_CANTCREAT, users.error().context);
    const auto done = order.verb == "add"      ? users->add(*name, credentials)
                      : order.verb == "passwd" ? users->change(*name, credentials)
                                               : users->remove(*name);
    if (!done)
        return complain(EX_UNAVAILABLE, done.error().context);
    if (*done)
        return 0;
    return order.verb == "add" ? complain(EX_CANTCREAT, fmt::format("there is a user {} already", *name))
                               : complain(EX_NOUSER, fmt::format("there is no user {}", *name));
}

} // namespace

int user_command(const std::string& directory, std::span<char*> arguments)
{
    const auto order = parse(arguments);
    const bool lists = order && order->verb == "list";
    const bool changes =
        order && (order->verb == "add" || order->verb == "passwd" || order->verb == "delete");
    if ((!lists && !changes) || lists == order->name.has_value()) {
        const bool asked = !arguments.empty() && std::string_view(arguments[0]) == "--help";
        std::fputs(usage_text, asked ? stdout : stderr);
        return asked ? 0 : EX_USAGE;
    }
    const auto config = load(directory, order->environment);
    if (!config)
        return complain(EX_CONFIG, config.error().context);
    const std::string where = config->get("smtpd_sasl_path");
    const auto path = sasl::user_database_path(where, config->get("data_directory"));
    if (!path)
        return complain(EX_CONFIG, fmt::format("the users of {} are in the table {}",
                                               config->config_directory(), printable(where)));
    // The files that sqlite leaves beside the database must be the mail owner's, too.
    if (const auto owner = become_mail_owner(*config); !owner)
        return complain(EX_NOPERM, owner.error().context);
    return lists ? list_users(*path) : change_user(*order, *path);
}

} // namespace bulkhead
