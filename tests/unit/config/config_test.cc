#include "config/config.h"

#include "config/coverage.h"
#include "config/install_paths.h"
#include "config/known_parameters.h"
#include "config/master_cf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace bulkhead
{
namespace
{

using testing::ElementsAre;
using testing::HasSubstr;

Result<Config> config_of(std::string_view text, std::vector<std::string> overrides = {})
{
    auto main = MainCf::parse(text, "main.cf");
    if (!main)
        return main.error();
    return Config::from(*std::move(main), "/etc/x", overrides, "smtpd");
}

struct Case {
    const char* name;
    std::string text;
    std::string parameter;
    std::string value;
};

class ConfigGives : public testing::TestWithParam<Case>
{
};

TEST_P(ConfigGives, Value)
{
    const auto config = config_of(GetParam().text);
    ASSERT_TRUE(config) << config.error().context;
    EXPECT_EQ(config->get(GetParam().parameter), GetParam().value);
}

INSTANTIATE_TEST_SUITE_P(
    Config, ConfigGives,
    testing::Values(
        Case{"BuiltIn", "", "smtpd_recipient_limit", "1000"},
        Case{"Set", "smtpd_recipient_limit=5", "smtpd_recipient_limit", "5"},
        Case{"DefaultRefersToSetting", "myhostname=a.example", "smtpd_banner", "a.example ESMTP Bulkhead"},
        Case{"DomainFromHost", "myhostname=a.b.example", "mydomain", "b.example"},
        Case{"HostFromDomain", "mydomain=example\nmyhostname=h.$mydomain", "myhostname", "h.example"},
        Case{"Stress", "stress=yes", "smtpd_timeout", "10s"}, Case{"NoStress", "", "smtpd_timeout", "300s"},
        Case{"LevelZero", "", "append_dot_mydomain", "yes"},
        Case{"LevelTwo", "compatibility_level=2", "append_dot_mydomain", "no"},
        Case{"LevelOfStyle", "", "mynetworks_style", "subnet"},
        Case{"LevelTwoOfStyle", "compatibility_level=2", "mynetworks_style", "host"},
        Case{"LevelOfRelayDomains", "mydestination=a.example", "relay_domains", "a.example"},
        Case{"LevelTwoOfRelayDomains", "compatibility_level=2\nmydestination=a.example", "relay_domains", ""},
        Case{"LevelOfRelayRestrictions", "", "smtpd_relay_restrictions", ""},
        Case{"LevelOneOfRelayRestrictions", "compatibility_level=1", "smtpd_relay_restrictions",
             "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination"},
        Case{"LevelOfUtf8", "", "smtputf8_enable", "no"},
        Case{"LevelOneOfUtf8", "compatibility_level=1", "smtputf8_enable", "yes"},
        Case{"LevelOfOrder", "compatibility_level=3.5", "smtpd_relay_before_recipient_restrictions", "no"},
        Case{"LevelThreeSixOfOrder", "compatibility_level=3.6", "smtpd_relay_before_recipient_restrictions",
             "yes"},
        Case{"LevelOfFingerprints", "compatibility_level=3.5", "smtpd_tls_fingerprint_digest", "md5"},
        Case{"LevelThreeSixOfFingerprints", "compatibility_level=3.10", "smtp_tls_fingerprint_digest",
             "sha256"},
        Case{"LevelOfWords", "compatibility_level=2", "respectful_logging", "no"},
        Case{"LevelThreeSixOfWords", "compatibility_level=3.6.1", "respectful_logging", "yes"},
        Case{"Parentheses", "a=1\nsmtpd_banner=$(a)${a}$a $$a", "smtpd_banner", "111 $a"},
        Case{"OldSyntax", "a=1\nsmtpd_banner=${a?x$a}${b:y$a}", "smtpd_banner", "x1y1"},
        Case{"Comparison", "a=9\nsmtpd_banner=${{$a} < {10} ? {few} : {many}}", "smtpd_banner", "few"},
        Case{"Continued", "smtpd_banner = a\n# no\n\n  b", "smtpd_banner", "a  b"},
        Case{"UserParameter", "podop=socketmap:x\nvirtual_alias_maps=${podop}:alias", "virtual_alias_maps",
             "socketmap:x:alias"},
        Case{"LegacyName", "virtual_maps=hash:x", "virtual_alias_maps", "hash:x"},
        Case{"LogNameStaysCompatible", "", "syslog_name", "postfix"},
        Case{"LogNameOfAnInstance", "multi_instance_name=postfix-a", "syslog_name", "postfix-a"},
        Case{"ConfigDirectory", "", "config_directory", "/etc/x"},
        Case{"ProcessName", "", "process_name", "smtpd"},
        Case{"PerTransportDefault", "default_destination_concurrency_limit=7",
             "relay_destination_concurrency_limit", "7"},
        Case{"DebianAliases", "", "alias_maps", "hash:/etc/aliases, nis:mail.aliases"},
        Case{"Unknown", "", "no_such_name", ""}),
    [](const auto& row) { return std::string(row.param.name); });

struct Refusal {
    const char* name;
    std::string text;
    std::string error;
};

class ConfigRefuses : public testing::TestWithParam<Refusal>
{
};

TEST_P(ConfigRefuses, Value)
{
    const auto config = config_of(GetParam().text);
    ASSERT_FALSE(config);
    EXPECT_THAT(config.error().context, HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    Config, ConfigRefuses,
    testing::Values(Refusal{"Loop", "#\nmydomain = $myorigin\nmyorigin = $mydomain",
                            "main.cf, line 2: mydomain: parameter loop: $mydomain -> $myorigin -> $mydomain"},
                    Refusal{"LoopThroughADefault", "mydestination = $relay_domains\n", "parameter loop"},
                    Refusal{"Syntax", "smtpd_banner = ${myhostname",
                            "main.cf, line 1: smtpd_banner: unbalanced"},
                    Refusal{"Level", "compatibility_level = x", "main.cf, line 1: compatibility_level: bad"},
                    Refusal{"OriginFile", "myorigin = /nowhere/mailname", "main.cf, line 1: myorigin: "}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Config, LateValuesMayHoldAnything)
{
    const auto config = config_of("forward_path = $home/.forward${recipient_delimiter\n");
    ASSERT_TRUE(config);
    EXPECT_EQ(config->raw("forward_path"), "$home/.forward${recipient_delimiter");
}

TEST(Config, NamesOfTheMachineThatNeedEachOtherComeToAnEnd)
{
    const auto config = config_of("a = $mydomain\nmyhostname = mail.$a\nmynetworks_style = $mynetworks\n");
    ASSERT_TRUE(config);
    EXPECT_TRUE(config->get("myhostname").starts_with("mail."));
    EXPECT_FALSE(config->get("mydomain").empty());
    (void)config->expanded("mynetworks"); // whatever it is
}

TEST(Config, OverridesComeLast)
{
    const auto config =
        config_of("smtpd_recipient_limit = 1\n", {"smtpd_recipient_limit=2", "smtpd_recipient_limit = 3"});
    ASSERT_TRUE(config);
    EXPECT_EQ(config->get("smtpd_recipient_limit"), "3");
    EXPECT_EQ(config->place("smtpd_recipient_limit"), "-o");
}

TEST(Config, OriginFromAFile)
{
    const std::string path = testing::TempDir() + "/mailname";
    std::ofstream(path) << "mail.example\nrest\n";
    const auto config = config_of("myorigin = " + path + "\nmydomain = at.$myorigin\n");
    ASSERT_TRUE(config) << config.error().context;
    std::filesystem::remove(path);
    EXPECT_EQ(config->get("myorigin"), "mail.example");
    EXPECT_EQ(config->get("mydomain"), "at.mail.example");
    EXPECT_EQ(config->raw("myorigin"), path);
}

TEST(Config, TypedValuesNameThePlace)
{
    const auto config = config_of("smtpd_timeout = 5x\nbiff = maybe\nhopcount_limit = many\n");
    ASSERT_TRUE(config);
    EXPECT_EQ(config->get_seconds("smtpd_timeout").error().context,
              "main.cf, line 1: smtpd_timeout: bad time value \"5x\"");
    EXPECT_FALSE(config->get_bool("biff"));
    EXPECT_FALSE(config->get_int("hopcount_limit"));
    EXPECT_EQ(*config->get_seconds("maximal_queue_lifetime", 'd'), 5 * 86400);
}

TEST(Config, TimesHaveUnits)
{
    for (const auto& [text, seconds] : std::map<std::string, int>{
             {"7", 7 * 86400}, {"7s", 7}, {"7m", 420}, {"7h", 25200}, {"7d", 604800}, {"7w", 4233600}}) {
        const auto config = config_of("maximal_queue_lifetime = " + text);
        EXPECT_EQ(*config->get_seconds("maximal_queue_lifetime", 'd'), seconds) << text;
    }
}

TEST(Config, BracesProtectElementsOfLists)
{
    const auto config = config_of("virtual_alias_maps = a, inline:{ {x = y z}, {b=c} } !d,,\n  e\n");
    EXPECT_THAT(config->get_list("virtual_alias_maps"),
                ElementsAre("a", "inline:{ {x = y z}, {b=c} }", "!d", "e"));
}

TEST(Config, ALoopInAnOverrideNamesIt)
{
    const auto config = config_of("mydomain = a.example\n", {"mydomain=$myorigin", "myorigin=$mydomain"});
    ASSERT_FALSE(config);
    EXPECT_THAT(config.error().context, HasSubstr("$mydomain -> $myorigin -> $mydomain"));
}

TEST(Config, TransportValueFallsBack)
{
    const auto config = config_of("slow_destination_rate_delay = 2s\ndefault_destination_rate_delay = 1s\n");
    ASSERT_TRUE(config);
    EXPECT_EQ(config->transport_value("slow", "_destination_rate_delay"), "2s");
    EXPECT_EQ(config->transport_value("fast", "_destination_rate_delay"), "1s");
    EXPECT_EQ(config->transport_value("local", "_destination_concurrency_limit"), "2");
}

TEST(Config, NamesWhatNothingUses)
{
    const auto config = config_of("a = 1\nb = $a\nsmtpd_banner = $b\nsmtpd_banr = x\nstrict = reject\n"
                                  "smtpd_restriction_classes = strict\nmua_x = permit\n"
                                  "slow_destination_rate_delay = 1\nslwo_destination_rate_delay = 1\n");
    ASSERT_TRUE(config);
    const auto master =
        MasterCf::parse("slow unix - - - - - smtp -o smtpd_client_restrictions=$mua_x\n", "master.cf", {});
    ASSERT_TRUE(master);
    std::vector<std::string> names;
    for (const auto& unknown : config->unknown_names(master->services))
        names.push_back(unknown.name);
    EXPECT_THAT(names, ElementsAre("slwo_destination_rate_delay", "smtpd_banr"));
}

TEST(Config, NamesWhatIsNotImplementedYet)
{
    const auto idle = [](std::string_view main_cf, std::string_view master_cf) {
        const auto config = config_of(main_cf);
        const auto master = MasterCf::parse(master_cf, "master.cf", {});
        std::vector<std::string> names;
        for (const auto& unknown : config->unimplemented_names(master->services))
            names.push_back(unknown.setting.place() + ": " + unknown.name);
        return names;
    };
    // qmqpd is nobody's plan; its parameters stay without effect
    EXPECT_THAT(idle("#\nqmqpd_timeout = 5s\n", ""), ElementsAre("main.cf, line 2: qmqpd_timeout"));
    EXPECT_THAT(
        idle("", "a inet n - - - - smtpd -o qmqpd_timeout=5s\nb inet n - - - - smtpd -o qmqpd_timeout=6s\n"),
        ElementsAre("master.cf, line 1: qmqpd_timeout"));
    EXPECT_THAT(idle("qmqpd_timeout = 300s\nqmqpd_authorized_clients =\n", ""), ElementsAre());
    EXPECT_THAT(idle("smtpd_timeout = 5s\nmail_release_date = x\n", ""), ElementsAre());
}

TEST(Config, LoadsDebiansFile)
{
    auto main = MainCf::read(TEST_DATA "/debian-main.cf");
    ASSERT_TRUE(main) << main.error().context;
    ASSERT_TRUE(main->overlay("myorigin = x.example"));
    const auto config = Config::from(*std::move(main), "/etc/x");
    ASSERT_TRUE(config) << config.error().context;
    EXPECT_TRUE(config->unknown_names().empty());
}

TEST(InstallPaths, FollowTheProgram)
{
    const auto paths = install_paths_for("/opt/mail/libexec/bulkhead/smtpd");
    EXPECT_EQ(paths.command_directory, "/opt/mail/sbin");
    EXPECT_EQ(paths.daemon_directory, "/opt/mail/libexec/bulkhead");
    EXPECT_EQ(install_paths_for("/opt/mail/sbin/postconf").daemon_directory, "/opt/mail/libexec/bulkhead");
}

// Where our defaults differ from the compatible release, on purpose.
const std::map<std::string, std::string, std::less<>> allowed_differences{
    {"command_directory", "found from the program"},
    {"config_directory", "ours"},
    {"daemon_directory", "found from the program"},
    {"data_directory", "ours"},
    {"html_directory", "not installed"},
    {"mail_name", "ours"},
    {"mail_owner", "ours"},
    {"mail_release_date", "ours"},
    {"mail_version", "ours"},
    {"mailq_path", "below command_directory"},
    {"manpage_directory", "not installed"},
    {"meta_directory", "ours"},
    {"mydomain", "this machine"},
    {"myhostname", "this machine"},
    {"mynetworks", "this machine"},
    {"newaliases_path", "below command_directory"},
    {"process_id", "this process"},
    {"process_name", "this process"},
    {"queue_directory", "ours"},
    {"readme_directory", "not installed"},
    {"sample_directory", "ours"},
    {"sendmail_path", "below command_directory"},
    {"setgid_group", "ours"},
    {"shlib_directory", "no loadable modules"},
    {"smtpd_forbid_bare_newline", "the safe default of release 3.9"},
};

TEST(KnownParameters, DefaultsAreThoseOfTheCompatibleRelease)
{
    const auto config = config_of("");
    ASSERT_TRUE(config);
    std::ifstream golden(TEST_DATA "/postconf-d-builtin-3.7.txt");
    std::size_t rows = 0;
    for (std::string line; std::getline(golden, line); ++rows) {
        const auto end = line.find(" =");
        const std::string name = line.substr(0, end);
        const std::string value = line.size() > end + 3 ? line.substr(end + 3) : "";
        const auto ours = config->default_value(name);
        ASSERT_TRUE(ours) << name;
        EXPECT_EQ(find_known_parameter(name)->origin, ParameterOrigin::builtin) << name;
        if (!allowed_differences.contains(name))
            EXPECT_EQ(*ours, value) << name;
    }
    EXPECT_EQ(rows, 829u);
}

TEST(KnownParameters, ServiceNamesAreThoseOfTheCompatibleRelease)
{
    const auto config = config_of("");
    ASSERT_TRUE(config);
    std::ifstream golden(TEST_DATA "/postconf-d-3.7.txt");
    int rows = 0;
    int of_services = 0;
    for (std::string line; std::getline(golden, line); ++rows) {
        const auto end = line.find(" =");
        const std::string name = line.substr(0, end);
        const auto known = describe_parameter(name);
        ASSERT_TRUE(known) << name;
        EXPECT_FALSE(known->help.empty()) << name;
        if (known->origin != ParameterOrigin::service)
            continue;
        ++of_services;
        EXPECT_EQ(config->default_value(name), line.substr(end + 3)) << name;
    }
    EXPECT_EQ(rows, 1043);
    EXPECT_EQ(of_services, 214);
}

TEST(KnownParameters, HelpIsOneShortLine)
{
    for (const KnownParameter& parameter : known_parameters()) {
        EXPECT_FALSE(parameter.help.empty()) << parameter.name;
        EXPECT_LT(parameter.help.size(), 100u) << parameter.name;
        EXPECT_EQ(parameter.help.find('\n'), std::string_view::npos) << parameter.name;
        EXPECT_FALSE(parameter.help.ends_with('.')) << parameter.name;
    }
}

TEST(KnownParameters, FamiliesShareTheirHelp)
{
    const auto help = [](std::string_view name) { return describe_parameter(name)->help; };
    EXPECT_EQ(help("lmtp_connect_timeout"), help("smtp_connect_timeout"));
    EXPECT_EQ(help("tlsproxy_client_key_file"), help("smtp_tls_key_file"));
    EXPECT_EQ(help("bsmtp_destination_rate_delay"), help("default_destination_rate_delay"));
    EXPECT_FALSE(describe_parameter("no_such_name"));
}

TEST(KnownParameters, OnlyNamesOfTierZeroNeedNoEffect)
{
    for (const KnownParameter& parameter : known_parameters()) {
        if (parameter.status == ParameterStatus::accepted)
            EXPECT_EQ(parameter.tier, 0) << parameter.name;
        if (parameter.tier == 0)
            EXPECT_NE(parameter.status, ParameterStatus::not_yet) << parameter.name;
    }
}

TEST(Coverage, AddsUp)
{
    const Coverage coverage = parameter_coverage();
    EXPECT_EQ(coverage.total.total(), static_cast<int>(known_parameters().size()));
    EXPECT_EQ(parameter_coverage(ParameterOrigin::builtin).total.total(), 829);
    CoverageRow rows;
    CoverageRow tiers;
    for (std::size_t i = 0; i < rows.counts.size(); ++i) {
        for (const CoverageRow& row : coverage.rows)
            rows.counts[i] += row.counts[i];
        for (const CoverageRow& row : coverage.tiers)
            tiers.counts[i] += row.counts[i];
    }
    EXPECT_EQ(rows.counts, coverage.total.counts);
    EXPECT_EQ(tiers.counts, coverage.total.counts);
    EXPECT_THAT(coverage_text(coverage), HasSubstr("in effect"));
}

TEST(KnownParameters, EveryDefaultExpands)
{
    const auto config = config_of("");
    ASSERT_TRUE(config);
    for (const KnownParameter& parameter : known_parameters()) {
        if (parameter.type != "character set") {
            const auto value = config->expanded(parameter.name);
            EXPECT_TRUE(value) << parameter.name << ": " << value.error().context;
        }
    }
}

} // namespace
} // namespace bulkhead
