# Where things are installed; DESTDIR works on top of all of them.
# Relative paths are taken below CMAKE_INSTALL_PREFIX at install time, so that
# `cmake --install BUILD --prefix DIR` gives a tree that works from DIR.
include(GNUInstallDirs)
set(BULKHEAD_CONFIG_DIR "/etc/bulkhead" CACHE STRING "Default configuration folder (config_directory)")
set(BULKHEAD_COMMAND_DIR "sbin" CACHE STRING "Administrator's commands (command_directory)")
set(BULKHEAD_DAEMON_DIR "libexec/bulkhead" CACHE STRING "Worker programs (daemon_directory)")
set(BULKHEAD_QUEUE_DIR "/var/spool/bulkhead" CACHE STRING "Default spool (queue_directory)")
set(BULKHEAD_DATA_DIR "/var/lib/bulkhead" CACHE STRING "Default data folder (data_directory)")
set(BULKHEAD_OWNER "bulkhead" CACHE STRING "Default mail_owner")
set(BULKHEAD_SETGID_GROUP "bhdrop" CACHE STRING "Default setgid_group")
