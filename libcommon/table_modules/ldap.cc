// ldap: tables by way of libldap.  A question is a search; attributes that hold the names of other
// entries, or LDAP URLs, are followed.
#include "table/server_module.h"

#include <ldap.h>

#include <fmt/format.h>

#include <algorithm>
#include <strings.h>

namespace bulkhead
{

namespace
{

using Deadline = std::chrono::steady_clock::time_point;
using Names = std::vector<std::string>;

// Searches that one question may cause.
constexpr int search_limit = 5000;

struct LdapSettings {
    std::string base;
    ServerQuestion filter;
    int scope = LDAP_SCOPE_SUBTREE;
    Names plain; // result_attribute and its special kinds
    Names special;
    Names terminal;
    Names leaf;
    int recursion_limit = 1000;
    int size_limit = 0;
    int timeout = 10;
    int version = 3;
    int dereference = 0;
    bool follow_referrals = false;
    bool bind = true;
    std::string bind_dn;
    std::string bind_password;
    bool start_tls = false;
    bool verify = false;
    std::string ca_file;
    std::string ca_folder;
    std::string cert;
    std::string key;
    std::string ciphers;
    std::string random_file;
};

bool contains(const Names& names, std::string_view name)
{
    return std::ranges::any_of(names, [&](const std::string& known) {
        return known.size() == name.size() && ::strncasecmp(known.data(), name.data(), name.size()) == 0;
    });
}

// The part of an attribute's name before its options: "member" of "member;range=0-9".
std::string_view without_options(std::string_view attribute)
{
    return attribute.substr(0, attribute.find(';'));
}

struct MessageDeleter {
    void operator()(LDAPMessage* message) const { ::ldap_msgfree(message); }
};
using Message = std::unique_ptr<LDAPMessage, MessageDeleter>;

timeval time_until(Deadline deadline)
{
    const int left = milliseconds_until(deadline);
    return {left / 1000, (left % 1000) * 1000};
}

// RFC 4515: what could end or change a filter becomes \XX.
void quote_for_filter(std::string_view text, std::string& out)
{
    for (const char c : text) {
        if (std::string_view("*()\\").find(c) != std::string_view::npos || c == '\0')
            out += fmt::format("\\{:02x}", static_cast<unsigned char>(c));
        else
            out += c;
    }
}

// RFC 2253, and 4514 which replaced it: the same for a part of a name.
void quote_for_name(std::string_view text, std::string& out)
{
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool at_edge = i == 0 || i + 1 == text.size();
        if (c == '\0' || c == '\n' || c == '\r') {
            out += fmt::format("\\{:02x}", static_cast<unsigned char>(c));
            continue;
        }
        if (std::string_view(",+\"\\<>;=").find(c) != std::string_view::npos || (c == '#' && i == 0) ||
            (c == ' ' && at_edge))
            out += '\\';
        out += c;
    }
}

class LdapConnection final : public ServerConnection
{
public:
    LdapConnection(LDAP* server, const LdapSettings& settings) : server_(server), settings_(settings)
    {
        for (const Names* names : {&settings.plain, &settings.special, &settings.terminal, &settings.leaf})
            for (const std::string& name : *names)
                if (!contains(attributes_, name))
                    attributes_.push_back(name);
    }
    ~LdapConnection() override { ::ldap_unbind_ext(server_, nullptr, nullptr); }

    bool quote(std::size_t part, std::string_view text, std::string& out) override
    {
        if (part == 0)
            quote_for_name(text, out);
        else
            quote_for_filter(text, out);
        return true;
    }

    ServerAnswer ask(const std::vector<std::string>& parts, Deadline deadline, ServerValues& values,
                     std::string& reason) override
    {
        Question question{
            std::min(deadline, std::chrono::steady_clock::now() + std::chrono::seconds(settings_.timeout)),
            values, reason};
        const Search search{parts[0], settings_.scope, parts[1], attributes_};
        return run(question, search, 0);
    }

private:
    struct Question {
        Deadline deadline;
        ServerValues& values;
        std::string& reason;
        int searches = 0;
    };
    struct Search {
        std::string base;
        int scope;
        std::string filter;
        Names attributes;
    };

    ServerAnswer fail(Question& question, std::string_view why) const
    {
        question.reason = why;
        return ServerAnswer::failed;
    }

    ServerAnswer run(Question& question, const Search& search, int depth)
    {
        if (++question.searches > search_limit)
            return fail(question, fmt::format("more than {} searches for one key", search_limit));
        std::vector<char*> attributes;
        for (const std::string& name : search.attributes)
            attributes.push_back(const_cast<char*>(name.c_str()));
        attributes.push_back(nullptr);
        timeval limit = time_until(question.deadline);
        LDAPMessage* raw = nullptr;
        const int status =
            ::ldap_search_ext_s(server_, search.base.c_str(), search.scope, search.filter.c_str(),
                                attributes.data(), 0, nullptr, nullptr, &limit, settings_.size_limit, &raw);
        const Message message(raw);
        if (status == LDAP_SUCCESS)
            return take_entries(question, message.get(), depth);
        return judge(question, status, depth);
    }

    // An error status as an answer.  A name that leads nowhere is an answer, too, unless it is the
    // place where every search begins.
    ServerAnswer judge(Question& question, int status, int depth) const
    {
        const bool base_is_of_key = settings_.base.find('%') != std::string::npos;
        if (status == LDAP_NO_SUCH_OBJECT && (depth > 0 || base_is_of_key))
            return ServerAnswer::values;
        if (status == LDAP_INVALID_DN_SYNTAX && depth > 0)
            return ServerAnswer::values;
        question.reason = fmt::format("search: {}", ::ldap_err2string(status));
        switch (status) {
        case LDAP_SERVER_DOWN:
        case LDAP_TIMEOUT:
        case LDAP_CONNECT_ERROR:
        case LDAP_UNAVAILABLE:
        case LDAP_BUSY:
        case LDAP_LOCAL_ERROR:
        case LDAP_ENCODING_ERROR:
        case LDAP_DECODING_ERROR:
            return ServerAnswer::lost;
        default:
            return ServerAnswer::failed;
        }
    }

    ServerAnswer take_entries(Question& question, LDAPMessage* message, int depth)
    {
        for (LDAPMessage* entry = ::ldap_first_entry(server_, message); entry != nullptr;
             entry = ::ldap_next_entry(server_, entry)) {
            const ServerAnswer answer = take_entry(question, entry, depth);
            if (answer != ServerAnswer::values)
                return answer;
        }
        return ServerAnswer::values;
    }

    struct Attribute {
        std::string name;
        Names values;
    };

    std::vector<Attribute> attributes_of(LDAPMessage* entry) const
    {
        std::vector<Attribute> attributes;
        BerElement* position = nullptr;
        for (char* name = ::ldap_first_attribute(server_, entry, &position); name != nullptr;
             name = ::ldap_next_attribute(server_, entry, position)) {
            Attribute attribute{name, {}};
            berval** const values = ::ldap_get_values_len(server_, entry, name);
            for (berval** value = values; value != nullptr && *value != nullptr; ++value)
                attribute.values.emplace_back((*value)->bv_val, (*value)->bv_len);
            ::ldap_value_free_len(values);
            ::ldap_memfree(name);
            attributes.push_back(std::move(attribute));
        }
        ::ber_free(position, 0);
        return attributes;
    }

    // A terminal attribute stands for the whole entry; leaf attributes count where nothing leads on.
    ServerAnswer take_entry(Question& question, LDAPMessage* entry, int depth)
    {
        const std::vector<Attribute> attributes = attributes_of(entry);
        const auto has_one_of = [&](const Names& names) {
            return std::ranges::any_of(attributes, [&](const Attribute& attribute) {
                return is_one_of(names, attribute.name) && !attribute.values.empty();
            });
        };
        const bool is_terminal = has_one_of(settings_.terminal);
        const bool is_leaf = !is_terminal && !has_one_of(settings_.special);
        for (const Attribute& attribute : attributes) {
            const bool is_special = !is_terminal && is_one_of(settings_.special, attribute.name);
            const bool counts = is_terminal ? is_one_of(settings_.terminal, attribute.name)
                                            : is_one_of(settings_.plain, attribute.name) ||
                                                  (is_leaf && is_one_of(settings_.leaf, attribute.name));
            for (const std::string& value : attribute.values) {
                ServerAnswer answer = ServerAnswer::values;
                if (is_special)
                    answer = follow(question, value, depth);
                else if (counts && !question.values.add(value))
                    answer = fail(question, "the answer is too large");
                if (answer != ServerAnswer::values)
                    return answer;
            }
        }
        return ServerAnswer::values;
    }

    static bool is_one_of(const Names& names, std::string_view attribute)
    {
        return contains(names, attribute) || contains(names, without_options(attribute));
    }

    ServerAnswer follow(Question& question, const std::string& value, int depth)
    {
        if (depth + 1 > settings_.recursion_limit)
            return fail(question,
                        fmt::format("entries lead to each other more than {} deep (recursion_limit)",
                                    settings_.recursion_limit));
        if (::ldap_is_ldap_url(value.c_str()) != 0)
            return follow_url(question, value, depth);
        return run(question, {value, LDAP_SCOPE_BASE, "(objectclass=*)", attributes_}, depth + 1);
    }

    // Of a URL's attributes those count that the table wants; without any, all of the table's.
    ServerAnswer follow_url(Question& question, const std::string& value, int depth)
    {
        LDAPURLDesc* raw = nullptr;
        if (::ldap_url_parse(value.c_str(), &raw) != 0)
            return ServerAnswer::values;
        const std::unique_ptr<LDAPURLDesc, void (*)(LDAPURLDesc*)> url(raw, ::ldap_free_urldesc);
        Search search{url->lud_dn != nullptr ? url->lud_dn : "", url->lud_scope,
                      url->lud_filter != nullptr ? url->lud_filter : "(objectclass=*)", attributes_};
        if (search.scope == LDAP_SCOPE_DEFAULT)
            search.scope = LDAP_SCOPE_BASE;
        if (url->lud_attrs != nullptr && url->lud_attrs[0] != nullptr) {
            search.attributes.clear();
            for (char** name = url->lud_attrs; *name != nullptr; ++name)
                if (is_one_of(attributes_, *name))
                    search.attributes.emplace_back(*name);
            if (search.attributes.empty())
                return ServerAnswer::values;
        }
        return run(question, search, depth + 1);
    }

    LDAP* server_;
    const LdapSettings& settings_; // the driver's, who lives longer
    Names attributes_;
};

class LdapDriver final : public ServerDriver
{
public:
    explicit LdapDriver(ServerSettings& settings)
        : hosts_(settings.list("server_host", "localhost")),
          port_(settings.number("server_port", 389, 1, 65535))
    {
        if (hosts_.empty())
            hosts_.emplace_back("localhost");
        read_search(settings);
        read_connection(settings);
        read_tls(settings);
    }
    ~LdapDriver() override
    {
        if (tls_holder_ != nullptr)
            ::ldap_unbind_ext(tls_holder_, nullptr, nullptr);
    }

    std::vector<ServerQuestion> questions() const override
    {
        return {{"search_base", settings_.base}, settings_.filter};
    }
    std::vector<std::string> hosts() const override { return hosts_; }
    bool keeps_order() const override { return true; }

    std::unique_ptr<ServerConnection> connect(const ServerHost& host, Deadline deadline,
                                              std::string& reason) override
    {
        deadline =
            std::min(deadline, std::chrono::steady_clock::now() + std::chrono::seconds(settings_.timeout));
        LDAP* server = nullptr;
        int status = ::ldap_initialize(&server, uris(host).c_str());
        if (status != LDAP_SUCCESS) {
            reason = ::ldap_err2string(status);
            return nullptr;
        }
        auto connection = std::make_unique<LdapConnection>(server, settings_);
        set_options(server, deadline);
        if (settings_.start_tls) {
            status = ::ldap_start_tls_s(server, nullptr, nullptr);
            if (status != LDAP_SUCCESS)
                return refuse(server, "start_tls", status, reason);
        }
        if (settings_.bind && (status = bind(server, deadline)) != LDAP_SUCCESS)
            return refuse(server, "bind", status, reason);
        return connection;
    }

private:
    void read_search(ServerSettings& settings)
    {
        settings_.base = settings.text("search_base");
        settings_.filter = {"query_filter", settings.text("query_filter", "(mailacceptinggeneralid=%s)")};
        const std::string scope = settings.text("scope", "sub");
        settings_.scope = scope == "one"    ? LDAP_SCOPE_ONELEVEL
                          : scope == "base" ? LDAP_SCOPE_BASE
                                            : LDAP_SCOPE_SUBTREE;
        if (scope != "one" && scope != "base" && scope != "sub")
            settings.complain("scope", "want one of sub, one, base");
        settings_.plain = settings.list("result_attribute", "maildrop");
        settings_.special = settings.list("special_result_attribute");
        settings_.terminal = settings.list("terminal_result_attribute");
        settings_.leaf = settings.list("leaf_result_attribute");
        constexpr int most = 1000000;
        settings_.recursion_limit = settings.number("recursion_limit", 1000, 1, most);
        settings_.size_limit =
            settings.number("size_limit", settings.number("expansion_limit", 0, 0, most), 0, most);
    }

    void read_connection(ServerSettings& settings)
    {
        settings_.timeout = settings.seconds("timeout", 10);
        settings_.version = settings.number("version", 3, 2, 3);
        settings_.dereference = settings.number("dereference", 0, 0, 3);
        const std::string referrals = settings.text("chase_referrals", "0");
        settings_.follow_referrals = referrals != "0" && settings.flag("chase_referrals", false);
        const std::string how = settings.text("bind", "yes");
        settings_.bind = how != "no" && how != "none";
        if (settings_.bind && how != "yes" && how != "simple")
            settings.complain("bind", "want one of yes, simple, no, none");
        settings_.bind_dn = settings.text("bind_dn");
        settings_.bind_password = settings.text("bind_pw");
    }

    // Certificates are read here, before the jail, and kept in a context that all connections share.
    void read_tls(ServerSettings& settings)
    {
        settings_.start_tls = settings.flag("start_tls", false);
        settings_.verify = settings.flag("tls_require_cert", false);
        settings_.ca_file = settings.text("tls_ca_cert_file");
        settings_.ca_folder = settings.text("tls_ca_cert_dir");
        settings_.cert = settings.text("tls_cert");
        settings_.key = settings.text("tls_key");
        settings_.ciphers = settings.text("tls_cipher_suite");
        settings_.random_file = settings.text("tls_random_file");
        const bool is_secure =
            settings_.start_tls ||
            std::ranges::any_of(hosts_, [](const std::string& host) { return host.starts_with("ldaps:"); });
        if (!is_secure)
            return;
        settings_.version = 3;
        if (::ldap_initialize(&tls_holder_, nullptr) != LDAP_SUCCESS)
            return;
        const int how = settings_.verify ? LDAP_OPT_X_TLS_DEMAND : LDAP_OPT_X_TLS_NEVER;
        ::ldap_set_option(tls_holder_, LDAP_OPT_X_TLS_REQUIRE_CERT, &how);
        set_text(LDAP_OPT_X_TLS_CACERTFILE, settings_.ca_file);
        set_text(LDAP_OPT_X_TLS_CACERTDIR, settings_.ca_folder);
        set_text(LDAP_OPT_X_TLS_CERTFILE, settings_.cert);
        set_text(LDAP_OPT_X_TLS_KEYFILE, settings_.key);
        set_text(LDAP_OPT_X_TLS_CIPHER_SUITE, settings_.ciphers);
        set_text(LDAP_OPT_X_TLS_RANDOM_FILE, settings_.random_file);
        const int is_server = 0;
        if (::ldap_set_option(tls_holder_, LDAP_OPT_X_TLS_NEWCTX, &is_server) != LDAP_OPT_SUCCESS)
            settings.complain(settings_.ca_file.empty() ? "tls_ca_cert_dir" : "tls_ca_cert_file",
                              "the TLS library refuses the tls_* settings");
        ::ldap_get_option(tls_holder_, LDAP_OPT_X_TLS_CTX, &tls_context_);
    }

    void set_text(int option, const std::string& text)
    {
        if (!text.empty())
            ::ldap_set_option(tls_holder_, option, text.c_str());
    }

    // What libldap connects to, tried in order: addresses, unless a certificate is for the name.
    std::string uris(const ServerHost& host) const
    {
        if (!host.uri.empty() &&
            (settings_.verify || host.addresses.empty() || host.uri.starts_with("ldapi")))
            return host.uri;
        if (!host.socket.empty())
            return "ldapi://" + percent_encoded(host.socket);
        const std::string scheme = host.uri.starts_with("ldaps:") ? "ldaps" : "ldap";
        const std::string port = !host.port.empty()  ? host.port
                                 : scheme == "ldaps" ? "636"
                                 : host.uri.empty()  ? std::to_string(port_)
                                                     : "389";
        std::string uris;
        const Names by_name{host.name};
        const Names& names = settings_.verify || host.addresses.empty() ? by_name : host.addresses;
        for (const std::string& name : names) {
            const bool is_v6 = name.find(':') != std::string::npos;
            uris += fmt::format("{}{}://{}{}{}:{}", uris.empty() ? "" : " ", scheme, is_v6 ? "[" : "", name,
                                is_v6 ? "]" : "", port);
        }
        return uris;
    }

    static std::string percent_encoded(std::string_view path)
    {
        std::string encoded;
        for (const char c : path)
            encoded += c == '/' || c == '%' || c == ' '
                           ? fmt::format("%{:02X}", static_cast<unsigned char>(c))
                           : std::string(1, c);
        return encoded;
    }

    void set_options(LDAP* server, Deadline deadline) const
    {
        const timeval limit = time_until(deadline);
        const timeval search_limit_time{settings_.timeout, 0};
        ::ldap_set_option(server, LDAP_OPT_NETWORK_TIMEOUT, &limit);
        ::ldap_set_option(server, LDAP_OPT_TIMEOUT, &search_limit_time);
        ::ldap_set_option(server, LDAP_OPT_PROTOCOL_VERSION, &settings_.version);
        ::ldap_set_option(server, LDAP_OPT_DEREF, &settings_.dereference);
        ::ldap_set_option(server, LDAP_OPT_REFERRALS,
                          settings_.follow_referrals ? LDAP_OPT_ON : LDAP_OPT_OFF);
        if (tls_context_ != nullptr) {
            const int how = settings_.verify ? LDAP_OPT_X_TLS_DEMAND : LDAP_OPT_X_TLS_NEVER;
            ::ldap_set_option(server, LDAP_OPT_X_TLS_REQUIRE_CERT, &how);
            ::ldap_set_option(server, LDAP_OPT_X_TLS_CTX, tls_context_);
        }
    }

    int bind(LDAP* server, Deadline deadline) const
    {
        berval password{};
        password.bv_len = settings_.bind_password.size();
        password.bv_val = const_cast<char*>(settings_.bind_password.data());
        int number = 0;
        int status = ::ldap_sasl_bind(server, settings_.bind_dn.c_str(), LDAP_SASL_SIMPLE, &password, nullptr,
                                      nullptr, &number);
        if (status != LDAP_SUCCESS)
            return status;
        timeval limit = time_until(deadline);
        LDAPMessage* raw = nullptr;
        const int kind = ::ldap_result(server, number, LDAP_MSG_ALL, &limit, &raw);
        if (kind == 0)
            return LDAP_TIMEOUT;
        if (kind < 0)
            return LDAP_SERVER_DOWN;
        int outcome = LDAP_OTHER;
        status = ::ldap_parse_result(server, raw, &outcome, nullptr, nullptr, nullptr, nullptr, 1);
        return status != LDAP_SUCCESS ? status : outcome;
    }

    static std::unique_ptr<ServerConnection> refuse(LDAP* server, std::string_view step, int status,
                                                    std::string& reason)
    {
        char* detail = nullptr;
        ::ldap_get_option(server, LDAP_OPT_DIAGNOSTIC_MESSAGE, &detail);
        reason =
            fmt::format("{}: {}{}{}", step, ::ldap_err2string(status),
                        detail != nullptr && *detail != '\0' ? ": " : "", detail != nullptr ? detail : "");
        ::ldap_memfree(detail);
        return nullptr;
    }

    LdapSettings settings_;
    Names hosts_;
    int port_;
    LDAP* tls_holder_ = nullptr;
    void* tls_context_ = nullptr;
};

std::unique_ptr<ServerDriver> open_ldap_driver(ServerSettings& settings)
{
    return std::make_unique<LdapDriver>(settings);
}

} // namespace

} // namespace bulkhead

BH_SERVER_MODULE(bulkhead::open_ldap_driver)
