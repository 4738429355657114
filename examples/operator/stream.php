<?php

declare(strict_types=1);

// Something to look at: curl -N 'http://127.0.0.1:8080/stream.php?user=alice'
$user = is_string($_GET['user'] ?? null) && $_GET['user'] !== '' ? $_GET['user'] : 'somebody';

sse_stream(['news', 'ticker.*'], options: ['user' => $user, 'presence' => ['id' => $user]]);
