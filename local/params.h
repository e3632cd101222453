// Parameters of local.
#pragma once

#include "config/params.h"

namespace bulkhead
{

inline constexpr std::string_view default_character_filter =
    "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

struct LocalParams : ParamSet {
    Param<std::string> alias_maps{this, "alias_maps", "hash:/etc/aliases, nis:mail.aliases",
                                  "aliases of local recipients"};
    Param<std::vector<std::string>> mail_to_commands{
        this, "allow_mail_to_commands", "alias, forward",
        "where |command is allowed as a destination: alias, forward, include"};
    Param<std::vector<std::string>> mail_to_files{
        this, "allow_mail_to_files", "alias, forward",
        "where /file is allowed as a destination: alias, forward, include"};
    Param<RawText> execution_directory{this, "command_execution_directory", "",
                                       "the folder where local runs commands; expanded for each recipient"};
    Param<RawText> command_filter{this, "command_expansion_filter", default_character_filter,
                                  "characters that $name expansion leaves in mailbox_command"};
    Param<RawText> directory_filter{this, "execution_directory_expansion_filter", default_character_filter,
                                    "characters that expansion leaves in command_execution_directory"};
    Param<RawText> forward_filter{this, "forward_expansion_filter", default_character_filter,
                                  "characters that expansion leaves in forward_path"};
    Param<std::string> status_filter{this, "local_delivery_status_filter", "$default_delivery_status_filter",
                                     "rules that replace the status of local deliveries"};
    Param<Seconds> time_limit{this, "command_time_limit", "1000s", at_least(1),
                              "how long a command of a delivery agent may run"};
    Param<std::string> default_privs{
        this, "default_privs", "nobody",
        "the user for commands and files of deliveries that have no user of their own"};
    Param<int> lock_attempts{this, "deliver_lock_attempts", "20", at_least(1),
                             "how often to try to lock a mailbox"};
    Param<Seconds> lock_delay{this, "deliver_lock_delay", "1s", at_least(1), "the time between two attempts"};
    Param<Seconds> stale_lock{this, "stale_lock_time", "500s", at_least(1),
                              "age at which a dotlock is removed"};
    Param<bool> expand_owner_alias{this, "expand_owner_alias", "no",
                                   "the owner- alias's target becomes the sender, not the alias itself"};
    Param<bool> reset_owner_alias{this, "reset_owner_alias", "no",
                                  "the sender is not kept where an inner alias has no owner"};
    Param<bool> owner_request_special{this, "owner_request_special", "yes",
                                      "owner-x and x-request are not split at the recipient delimiter"};
    Param<std::vector<std::string>> export_environment{this, "export_environment", "TZ MAIL_CONFIG LANG",
                                                       "environment variables that delivery commands see"};
    Param<std::string> fallback_transport{this, "fallback_transport", "",
                                          "the transport of local recipients without account or alias"};
    Param<std::string> fallback_transport_maps{this, "fallback_transport_maps", "",
                                               "the same for each recipient"};
    Param<RawText> forward_path{this, "forward_path",
                                "$home/.forward${recipient_delimiter}${extension}, $home/.forward",
                                "where to look for a user's .forward file"};
    Param<bool> frozen_delivered_to{this, "frozen_delivered_to", "yes",
                                    "Delivered-To: keeps the address before aliases and .forward"};
    Param<std::string> home_mailbox{this, "home_mailbox", "",
                                    "the mailbox below a user's home; with a final / a maildir"};
    Param<std::string> command_shell{this, "local_command_shell", "",
                                     "the shell of delivery commands; empty: only if they need one"};
    Param<RawText> luser_relay{this, "luser_relay", "", "where mail for unknown local recipients goes"};
    Param<std::string> mail_spool{this, "mail_spool_directory", "/var/mail",
                                  "the folder of mailboxes; with a final / maildirs"};
    Param<RawText> mailbox_command{this, "mailbox_command", "",
                                   "the command that delivers to local mailboxes"};
    Param<std::string> mailbox_command_maps{this, "mailbox_command_maps", "", "the same for each recipient"};
    Param<std::vector<std::string>> mailbox_lock{this, "mailbox_delivery_lock", "fcntl, dotlock",
                                                 "how a mailbox is locked: fcntl, flock, dotlock"};
    Param<std::int64_t> mailbox_limit{this, "mailbox_size_limit", "51200000", at_least(0),
                                      "bytes that a mailbox file may have; 0: no limit"};
    Param<std::string> mailbox_transport{this, "mailbox_transport", "",
                                         "the transport that delivers to local mailboxes"};
    Param<std::string> mailbox_transport_maps{this, "mailbox_transport_maps", "",
                                              "the same for each recipient"};
    Param<std::vector<std::string>> prepend_delivered_header{this, "prepend_delivered_header",
                                                             "command, file, forward",
                                                             "deliveries by local that add Delivered-To:"};
    Param<std::vector<std::string>> propagate_extensions{
        this, "propagate_unmatched_extensions", "canonical, virtual",
        "which address mappings carry an unmatched extension over"};
    Param<std::string> recipient_delimiter{this, "recipient_delimiter", "",
                                           "characters that begin an address extension"};
    Param<bool> require_home{this, "require_home_directory", "no",
                             "deliver to local users only if they have a home folder"};
    Param<bool> strict_ownership{this, "strict_mailbox_ownership", "yes",
                                 "refuse mailboxes that their user does not own"};
    Param<std::string> rewrite_service{this, "rewrite_service_name", "rewrite",
                                       "the service that rewrites and resolves addresses"};
    Param<std::string> cleanup_service{this, "cleanup_service_name", "cleanup",
                                       "the service that takes new messages"};
    Param<std::string> double_bounce_sender{this, "double_bounce_sender", "double-bounce",
                                            "the local part of the sender of mail that must not bounce"};
    Param<int> process_limit{this, "default_process_limit", "100", at_least(1),
                             "commands that one service runs at once"};
};

} // namespace bulkhead
