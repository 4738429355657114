--TEST--
phpinfo() shows what runs and every setting with its value
--INI--
sse.namespace=phpinfo
sse.udp=
sse.idle_exit=5
--FILE--
<?php
ob_start();
phpinfo(INFO_MODULES);
$text = strstr(ob_get_clean(), 'sse support');
echo strtok($text, "\n"), "\n";
preg_match_all('/^(sse\.\w+) =>/m', $text, $shown);
$all = array_keys(ini_get_all('sse'));
echo count($all), ' settings, not shown: ', implode(', ', array_diff($all, $shown[1])) ?: 'none', "\n";
echo preg_match('/^Hub => .*\.sock$/m', $text), preg_match('/^Streams of this SAPI => served in the worker$/m', $text), "\n";
?>
--EXPECT--
sse support => enabled
34 settings, not shown: none
11
