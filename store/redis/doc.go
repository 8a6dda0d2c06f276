// Package redis keeps sessions in Redis.
package redis
