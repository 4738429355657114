<?php

declare(strict_types=1);

// Counts the visits of a session, and so waits for the session's lock.
session_start();
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
header('Content-Type: application/json');
echo json_encode($_SESSION, JSON_THROW_ON_ERROR);
