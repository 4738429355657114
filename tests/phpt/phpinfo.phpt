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
?>
--EXPECT--
sse support => enabled
42 settings, not shown: none
111
sse.bus => redis://me:***@127.0.0.1:1/0?stream=a => redis://me:***@127.0.0.1:1/0?stream=a
