--TEST--
phpinfo() shows what runs and every setting with its value
--INI--
sse.namespace=phpinfo
sse.udp=
sse.idle_exit=5
sse.bus="redis://me:s3cret@127.0.0.1:1/0?stream=a"
--FILE--
<?php
ob_start();
phpinfo(INFO_MODULES);
$text = strstr(ob_get_clean(), 'sse support');
echo strtok($text, "\n"), "\n";
preg_match_all('/^(sse\.\w+) =>/m', $text, $shown);
$all = array_keys(ini_get_all('sse'));
echo count($all), ' settings, not shown: ', implode(', ', array_diff($all, $shown[1])) ?: 'none', "\n";
echo preg_match('/^Hub => .*\.sock$/m', $text), preg_match('/^Wakes by this user => .*\.sock\.notify$/m', $text), preg_match('/^Streams of this SAPI => served in the worker$/m', $text), "\n";
echo strstr(strstr($text, 'sse.bus =>'), "\n", true), "\n";
$running = static fn (string $text): string => strstr(strstr($text, 'Running hub =>'), "\n", true) . "\n";
echo $running($text);
$subscription = new SseSubscription('news');
$hub = sse_stats()['pid'];
preg_match('/^Uid:\s+(\d+)/m', file_get_contents("/proc/$hub/status"), $user);
ob_start();
phpinfo(INFO_MODULES);
$is = "/^Running hub => process $hub of user $user[1], 1 stream open, php-sse [\d.]+\n$/";
echo preg_match($is, $running(ob_get_clean())), "\n";
?>
--EXPECT--
sse support => enabled
61 settings, not shown: none
111
sse.bus => redis://me:***@127.0.0.1:1/0?stream=a => redis://me:***@127.0.0.1:1/0?stream=a
Running hub => none
1
